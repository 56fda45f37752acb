/* Command line of the daemon. */
#ifndef SHRIKE_OPTIONS_H
#define SHRIKE_OPTIONS_H

#include <stdbool.h>

struct options {
	const char *config; /* -c FILE, or --check FILE */
	bool check;	    /* only check the configuration */
	bool debug;
};

/* Reads the options; prints --help, --version and the reference itself. Returns true to go on; otherwise *code is
 * the exit code. */
bool options_parse(int argc, char **argv, struct options *out, int *code);

#endif
