/* "handover": what a packet costs more when another lcore than its SA's owner receives it. */
#ifndef SHRIKE_BENCH_HANDOVER_H
#define SHRIKE_BENCH_HANDOVER_H

/* argv[0] is the command's name. Returns the exit code. */
int handover_main(int argc, char **argv);

#endif
