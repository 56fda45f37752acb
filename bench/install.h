/* "install": burst times while SAs are installed. */
#ifndef SHRIKE_BENCH_INSTALL_H
#define SHRIKE_BENCH_INSTALL_H

/* argv[0] is the command's name. Returns the exit code. */
int install_main(int argc, char **argv);

#endif
