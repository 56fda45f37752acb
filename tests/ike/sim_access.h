/* XAuth and Mode Config in the simulated network: the hub asks, the others are its clients. */
#ifndef SHRIKE_TEST_SIM_ACCESS_H
#define SHRIKE_TEST_SIM_ACCESS_H

#include "sim.h"

#define SIM_ACCESS_NODES 4

/* Before sim_start(), of at most that many nodes with pre-shared keys: each connection asks for a user; by
 * mode nothing more (0), and an address that is pulled (1) or pushed (2). One network at a time. */
void sim_access_use(struct sim *s, unsigned nodes, unsigned mode);

#endif
