/* Certificates for the simulated network. */
#ifndef SHRIKE_TEST_SIM_CERTS_H
#define SHRIKE_TEST_SIM_CERTS_H

#include "sim.h"

/* Between sim_new() and sim_start(): every connection authenticates with ECDSA on P-256. The keys
 * and certificates are made at the first call; they must outlive the network. */
void sim_certs_use(struct sim *sim, unsigned nodes);
void sim_certs_free(void);

#endif
