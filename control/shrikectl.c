/* The control tool: asks a running shrike through its control socket (protocol: ctl.h). */
#include "shrikectl.h"

#include <errno.h>
#include <getopt.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "man.h"

#define DEFAULT_SOCKET "/run/shrike/control.sock"

enum { EXIT_GOOD, EXIT_REFUSED, EXIT_USAGE, EXIT_NO_DAEMON };

struct options {
	const char *socket, *command, *name, *direction;
	bool json;
	double timeout;
	struct watch_options watch;
};

static const struct usage_entry command_words[] = {
	{ "status", "peers and children, traffic, last errors" },
	{ "sa", "Main Mode and Quick Mode SAs" },
	{ "up NAME", "negotiates what is missing; waits for the result" },
	{ "down NAME", "deletes SAs, and stays down until up" },
	{ "rekey NAME", "a peer: its Main Mode SA; PEER/CHILD: its Quick Mode SAs" },
	{ "stats", "ports, lcores, SAs and totals" },
	{ "why [NAME]",
	  "what is wrong with a peer: both sides' values, the configuration that would mend it, "
	  "and the last steps; without NAME: with addresses that are no peer's" },
	{ "trace", "the way of packets, stage by stage, and how they end; such packets go slower" },
	{ "capture FILE", "packets into a pcap file that only its owner may read (- is standard "
			  "output): ESP, AH and "
			  "IKE on all ports, or what --side or --port says" },
	{ NULL, NULL },
};

static const struct usage_entry flags[] = {
	{ "-s, --socket SOCKET", "the control socket; without it " DEFAULT_SOCKET },
	{ "-t, --timeout SECONDS", "how long up and rekey wait; without it 15" },
	{ "--json", "the reply as JSON (status, sa, stats, why)" },
	{ "--direction in|out", "only that direction of Quick Mode SAs (sa, stats)" },
	{ "--peer NAME", "only packets of that peer or child (trace, capture)" },
	{ "--count N", "at most so many packets; without it 10 (trace) or 1000 (capture)" },
	{ "--seconds S", "at most so long; without it 30 (trace) or 60 (capture)" },
	{ "--side plain|encrypted", "packets inside of the tunnels, or outside (capture)" },
	{ "--port PORT", "every frame that this port receives and sends (capture)" },
	{ "--man", "print the manual page" },
	{ "--version", "print the version" },
	{ "--help", "print this" },
	{ NULL, NULL },
};

static const struct usage page = {
	.name = "shrikectl",
	.section = 1,
	.what = "control a running shrike",
	.synopsis = (const char *const[]){ "[-s SOCKET] COMMAND [NAME]", NULL },
	.text = "Asks a running shrike through its control socket, which is only for root and the "
		"user "
		"that shrike runs as.",
	.groups =
		(const struct usage_group[]){
			{ "Commands",
			  "NAME is a peer, PEER/CHILD, or the name of a child that only one "
			  "peer has.",
			  command_words },
			{ "Options",
			  "Exit code: 0 done, 1 refused or failed, 2 wrong usage, 3 no shrike "
			  "is listening.",
			  flags },
			{ NULL, NULL, NULL } },
	.see_also = "shrike(8), shrike.yaml(5)",
};

static bool options_parse(int argc, char **argv, struct options *o, int *code)
{
	static const struct option longs[] = {
		{ "socket", required_argument, NULL, 's' },
		{ "timeout", required_argument, NULL, 't' },
		{ "json", no_argument, NULL, 'j' },
		{ "direction", required_argument, NULL, 'd' },
		{ "peer", required_argument, NULL, 'P' },
		{ "count", required_argument, NULL, 'n' },
		{ "seconds", required_argument, NULL, 'S' },
		{ "side", required_argument, NULL, 'i' },
		{ "port", required_argument, NULL, 'p' },
		{ "man", no_argument, NULL, 'm' },
		{ "version", no_argument, NULL, 'v' },
		{ "help", no_argument, NULL, 'h' },
		{ NULL, 0, NULL, 0 },
	};
	char *end;
	int opt;

	*o = (struct options){ .socket = DEFAULT_SOCKET, .timeout = 15 };
	*code = EXIT_GOOD;
	while ((opt = getopt_long(argc, argv, "s:t:h", longs, NULL)) != -1) {
		switch (opt) {
		case 's':
			o->socket = optarg;
			break;
		case 't':
			o->timeout = strtod(optarg, &end);
			if (*end || end == optarg || !(o->timeout >= 0 && o->timeout <= 600)) {
				fprintf(stderr, "shrikectl: --timeout takes 0 to 600 seconds\n");
				goto bad;
			}
			break;
		case 'j':
			o->json = true;
			break;
		case 'd':
			o->direction = optarg;
			if (strcmp(optarg, "in") != 0 && strcmp(optarg, "out") != 0) {
				fprintf(stderr, "shrikectl: --direction is in or out\n");
				goto bad;
			}
			break;
		case 'P':
			o->watch.peer = optarg;
			break;
		case 'n':
			o->watch.count = (unsigned)strtoul(optarg, &end, 10);
			if (*end || optarg[0] == '-' || o->watch.count < 1 || strlen(optarg) > 7 ||
			    o->watch.count > 1000000) {
				fprintf(stderr, "shrikectl: --count takes 1 to 1000000 packets\n");
				goto bad;
			}
			break;
		case 'S':
			o->watch.seconds = strtod(optarg, &end);
			if (*end || !(o->watch.seconds >= 0.1 && o->watch.seconds <= 3600)) {
				fprintf(stderr, "shrikectl: --seconds takes 0.1 to 3600 seconds\n");
				goto bad;
			}
			break;
		case 'i':
			o->watch.side = optarg;
			if (strcmp(optarg, "plain") != 0 && strcmp(optarg, "encrypted") != 0) {
				fprintf(stderr, "shrikectl: --side is plain or encrypted\n");
				goto bad;
			}
			break;
		case 'p':
			o->watch.port = optarg;
			break;
		case 'v':
			printf("shrikectl %s\n", SHRIKE_VERSION);
			return false;
		case 'm':
			usage_man(&page, stdout);
			return false;
		case 'h':
			usage_print(&page, stdout);
			return false;
		default:
			goto bad_usage;
		}
	}
	if (optind == argc || argc - optind > 2)
		goto bad_usage;
	o->command = argv[optind];
	o->name = argv[optind + 1]; /* NULL at the end of argv */
	o->watch.json = o->json;
	return true;
bad_usage:
	usage_print(&page, stderr);
bad:
	*code = EXIT_USAGE;
	return false;
}

/* Which commands there are, and whether they take a name: 'n' must, 'o' may, '-' must not; 'f' must
 * have the name of a file. */
static bool command_check(const struct options *o)
{
	static const struct {
		const char *word;
		char name;
	} commands[] = {
		{ "status", '-' }, { "sa", '-' },    { "stats", '-' },
		{ "why", 'o' },    { "up", 'n' },    { "down", 'n' },
		{ "rekey", 'n' },  { "trace", '-' }, { "capture", 'f' },
	};

	for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]); i++) {
		if (strcmp(commands[i].word, o->command) != 0)
			continue;
		if (commands[i].name == 'n' && !o->name)
			fprintf(stderr, "shrikectl: %s needs the NAME of a peer or child\n",
				o->command);
		else if (commands[i].name == 'f' && !o->name)
			fprintf(stderr,
				"shrikectl: capture needs a FILE, or - for standard output\n");
		else if (commands[i].name == '-' && o->name)
			fprintf(stderr, "shrikectl: %s takes no NAME\n", o->command);
		else
			return true;
		return false;
	}
	fprintf(stderr, "shrikectl: there is no command '%s'; see shrikectl --help\n", o->command);
	return false;
}

static int daemon_connect(const char *path)
{
	struct sockaddr_un addr = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (strlen(path) >= sizeof(addr.sun_path)) {
		fprintf(stderr, "shrikectl: the socket's path is too long\n");
		close(fd);
		return -1;
	}
	strcpy(addr.sun_path, path);
	if (fd < 0 || connect(fd, (struct sockaddr *)&addr, sizeof(addr)) != 0) {
		if (errno == ENOENT || errno == ECONNREFUSED)
			fprintf(stderr, "shrikectl: no shrike is listening at %s\n", path);
		else
			fprintf(stderr, "shrikectl: %s: %s\n", path, strerror(errno));
		close(fd);
		return -1;
	}
	return fd;
}

#define INDENT_MAX (1 << 20) /* a longer reply is for programs: it is passed on as it came, without being read */

/* The document in a reply of many megabytes, to standard output. False: it is not a good one, or not long. */
static bool pass_on(const struct options *o, const char *line, size_t len)
{
	static const char good[] = "{\"ok\":true,", stats[] = "\"stats\":";
	size_t end = 0;

	if (!o->json || o->direction || len < INDENT_MAX || memcmp(line, good, strlen(good)) != 0)
		return false;
	line += strlen(good);
	len -= strlen(good);
	if (memcmp(line, stats, strlen(stats)) == 0) {
		line += strlen(stats);
		len -= strlen(stats);
		end = strlen("}\n"); /* of the reply around it */
	} else {
		putchar('{');
	}
	fwrite(line, 1, len - end, stdout);
	if (end)
		putchar('\n');
	return true;
}

/* Sends one request and reads the reply's line; NULL after a message, or when it was passed on (*passed). */
static json_t *daemon_ask(const struct options *o, int fd, json_t *request, bool *passed)
{
	FILE *f = fdopen(fd, "r+");
	char *line = NULL;
	size_t cap = 0;
	ssize_t len = -1;
	json_t *reply = NULL;
	json_error_t error;

	if (!f) {
		close(fd);
		json_decref(request);
		return NULL;
	}
	if (json_dumpf(request, f, JSON_COMPACT) == 0 && fputc('\n', f) != EOF && fflush(f) == 0 &&
	    (len = getline(&line, &cap, f)) > 0)
		*passed = pass_on(o, line, (size_t)len);
	if (len > 0 && !*passed)
		reply = json_loads(line, 0, &error);
	if (!*passed && !json_is_object(reply)) {
		fprintf(stderr, "shrikectl: the daemon closed the connection without an answer\n");
		json_decref(reply);
		reply = NULL;
	}
	free(line);
	fclose(f);
	json_decref(request);
	return reply;
}

static json_t *request_make(const struct options *o)
{
	json_t *r = json_pack("{s:s}", "command", o->command);

	if (o->name && json_object_set_new(r, "name", json_string(o->name)) != 0) {
		fprintf(stderr, "shrikectl: the name is not UTF-8\n");
		json_decref(r);
		return NULL;
	}
	if (strcmp(o->command, "up") == 0 || strcmp(o->command, "rekey") == 0)
		json_object_set_new(r, "timeout", json_real(o->timeout));
	return r;
}

/* Leaves only Quick Mode SAs of one direction. */
static void keep_direction(json_t *doc, const char *direction)
{
	json_t *sas = json_object_get(doc, "quick_mode_sas");

	for (size_t i = json_array_size(sas); direction && i-- > 0;) {
		const char *d =
			json_string_value(json_object_get(json_array_get(sas, i), "direction"));
		if (!d || strcmp(d, direction) != 0)
			json_array_remove(sas, i);
	}
}

static void show(const struct options *o, json_t *reply)
{
	json_t *stats = json_object_get(reply, "stats"), *doc = stats ? stats : reply;

	json_object_del(reply, "ok");
	keep_direction(doc, o->direction);
	if (o->json) {
		json_dumpf(doc, stdout, JSON_INDENT(2) | JSON_REAL_PRECISION(15));
		putchar('\n');
	} else if (stats) {
		show_stats(stats, o->direction);
	} else if (strcmp(o->command, "status") == 0) {
		show_status(reply);
	} else if (strcmp(o->command, "sa") == 0) {
		show_sa(reply);
	} else if (strcmp(o->command, "why") == 0) {
		show_why(reply);
	} else {
		printf("%s\n", json_string_value(json_object_get(reply, "text")));
	}
}

/* trace and capture: not one reply but a stream of them. */
static int watch(struct options *o)
{
	bool capture = strcmp(o->command, "capture") == 0;
	int fd;

	if (capture)
		o->watch.file = o->name;
	if (!capture && (o->watch.side || o->watch.port)) {
		fprintf(stderr, "shrikectl: --side and --port are for capture\n");
		return EXIT_USAGE;
	}
	if (o->watch.side && o->watch.port) {
		fprintf(stderr, "shrikectl: capture takes --side or --port, not both\n");
		return EXIT_USAGE;
	}
	fd = daemon_connect(o->socket);
	if (fd < 0)
		return EXIT_NO_DAEMON;
	return watch_run(&o->watch, fd, watch_request(&o->watch, capture)) ? EXIT_GOOD
									   : EXIT_REFUSED;
}

int main(int argc, char **argv)
{
	struct options o;
	int code, fd;
	bool passed = false;
	json_t *request, *reply;

	if (!options_parse(argc, argv, &o, &code))
		return code;
	if (!command_check(&o))
		return EXIT_USAGE;
	if (strcmp(o.command, "trace") == 0 || strcmp(o.command, "capture") == 0)
		return watch(&o);
	request = request_make(&o);
	if (!request)
		return EXIT_USAGE;
	fd = daemon_connect(o.socket);
	if (fd < 0) {
		json_decref(request);
		return EXIT_NO_DAEMON;
	}
	reply = daemon_ask(&o, fd, request, &passed);
	if (!reply)
		return passed ? EXIT_GOOD : EXIT_NO_DAEMON;
	code = json_is_true(json_object_get(reply, "ok")) ? EXIT_GOOD : EXIT_REFUSED;
	if (code == EXIT_GOOD) {
		show(&o, reply);
	} else {
		const char *error = json_string_value(json_object_get(reply, "error"));
		fprintf(stderr, "shrikectl: %s\n", error ? error : "refused without a reason");
	}
	json_decref(reply);
	return code;
}
