#include "options.h"

#include <getopt.h>
#include <stdio.h>
#include <string.h>

#include "config_reference.h"
#include "man.h"

#define DEFAULT_CONFIG "/etc/shrike/shrike.yaml"

static const struct usage_entry flags[] = {
	{ "-c, --config FILE", "the configuration; without it " DEFAULT_CONFIG },
	{ "--check FILE", "only check a configuration: exit 0 when it is good" },
	{ "-d, --debug", "log every step of every negotiation" },
	{ "--reference", "print the reference of the configuration (Markdown)" },
	{ "--man[=5|8]", "print the manual page of the configuration (5) or of shrike itself (8)" },
	{ "--version", "print the version" },
	{ "--help", "print this" },
	{ NULL, NULL },
};

static const struct usage_entry signals[] = {
	{ "SIGTERM, SIGINT", "delete the SAs at the peers and end" },
	{ "SIGHUP", "read the configuration again; what did not change keeps standing" },
	{ "SIGUSR1", "write the statistics" },
	{ NULL, NULL },
};

static const struct usage page = {
	.name = "shrike",
	.section = 8,
	.what = "IPsec gateway with IKEv1 and a data plane of its own",
	.synopsis = (const char *const[]){ "[-d] [-c FILE]", "--check FILE", NULL },
	.text = "Encrypts and decrypts ESP on worker lcores that poll the network ports with DPDK, "
		"and "
		"negotiates the keys with IKEv1. Runs in the foreground and logs to standard "
		"error.",
	.groups =
		(const struct usage_group[]){
			{ "Options", NULL, flags },
			{ "Signals",
			  "Exit code: 0 after SIGTERM or a good check, 1 after an error, 2 for "
			  "wrong usage.",
			  signals },
			{ NULL, NULL, NULL } },
	.see_also = "shrike.yaml(5), shrikectl(1)",
};

/* Prints a manual page; false for a section that has none. */
static bool print_man(const char *section)
{
	if (!section || strcmp(section, "5") == 0)
		config_reference_man(stdout);
	else if (strcmp(section, "8") == 0)
		usage_man(&page, stdout);
	else
		return false;
	return true;
}

bool options_parse(int argc, char **argv, struct options *out, int *code)
{
	static const struct option longs[] = {
		{ "config", required_argument, NULL, 'c' },
		{ "check", required_argument, NULL, 'k' },
		{ "debug", no_argument, NULL, 'd' },
		{ "version", no_argument, NULL, 'v' },
		{ "help", no_argument, NULL, 'h' },
		{ "reference", no_argument, NULL, 'r' },
		{ "man", optional_argument, NULL, 'm' },
		{ NULL, 0, NULL, 0 },
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
		case 'r':
			config_reference_markdown(stdout);
			return false;
		case 'm':
			if (print_man(optarg))
				return false;
			fprintf(stderr, "shrike: --man=%s: the manual pages are 5 and 8\n", optarg);
			*code = 2;
			return false;
		case 'h':
			usage_print(&page, stdout);
			return false;
		default:
			usage_print(&page, stderr);
			*code = 2;
			return false;
		}
	}
	if (optind < argc) {
		fprintf(stderr, "shrike: unexpected argument '%s'\n", argv[optind]);
		usage_print(&page, stderr);
		*code = 2;
		return false;
	}
	return true;
}
