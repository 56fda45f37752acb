#include "options.h"

#include <getopt.h>
#include <stdio.h>

#define DEFAULT_CONFIG "/etc/shrike/shrike.yaml"

static void usage(FILE *f)
{
	fprintf(f, "Usage: shrike [-d] [-c FILE]\n"
		   "       shrike --check FILE\n"
		   "\n"
		   "  -c, --config FILE  configuration (" DEFAULT_CONFIG ")\n"
		   "      --check FILE   only check a configuration: exit 0 when it is good\n"
		   "  -d, --debug        log every step of every negotiation\n"
		   "      --version      print the version\n"
		   "      --help         print this\n"
		   "\n"
		   "Runs in the foreground and logs to standard error. SIGTERM ends it, SIGHUP reads\n"
		   "the configuration again, SIGUSR1 writes the statistics.\n");
}

bool options_parse(int argc, char **argv, struct options *out, int *code)
{
	static const struct option longs[] = {
		{ "config", required_argument, NULL, 'c' }, { "check", required_argument, NULL, 'k' },
		{ "debug", no_argument, NULL, 'd' },	    { "version", no_argument, NULL, 'v' },
		{ "help", no_argument, NULL, 'h' },	    { NULL, 0, NULL, 0 },
	};
	int o;

	*out = (struct options){ .config = DEFAULT_CONFIG };
	*code = 0;
	while ((o = getopt_long(argc, argv, "c:dh", longs, NULL)) != -1) {
		switch (o) {
		case 'k':
			out->check = true;
			out->config = optarg;
			break;
		case 'c':
			out->config = optarg;
			break;
		case 'd':
			out->debug = true;
			break;
		case 'v':
			printf("shrike %s\n", SHRIKE_VERSION);
			return false;
		case 'h':
			usage(stdout);
			return false;
		default:
			usage(stderr);
			*code = 2;
			return false;
		}
	}
	if (optind < argc) {
		fprintf(stderr, "shrike: unexpected argument '%s'\n", argv[optind]);
		usage(stderr);
		*code = 2;
		return false;
	}
	return true;
}
