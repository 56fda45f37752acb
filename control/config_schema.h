/* The shape of the configuration file: what libcyaml loads it into. Every scalar stays text here;
 * config_check.c gives it a meaning. Absent keys are NULL or empty lists. */
#ifndef SHRIKE_CONFIG_SCHEMA_H
#define SHRIKE_CONFIG_SCHEMA_H

#include <cyaml/cyaml.h>

struct raw_system {
	char *control_core;
	char **worker_cores;
	unsigned worker_cores_count;
	char *share_core, *hugepages, *memory, *file_prefix, *idle, *vaes, *gcm, *sa_slots, *mbufs;
	char *buffer_size;
	char *run_dir, *stats_file, *stats_interval, *dh_threads, *key_export, *leases_file;
};

struct raw_port {
	char *name, *device, *vlan, *mtu, *clamp_mss, *source_check;
	char **addresses;
	unsigned addresses_count;
};

struct raw_route {
	char *to, *via, *port;
};

struct raw_secret {
	char *name, *file;
};

struct raw_policy {
	char *action, *local, *remote, *protocol, *local_port, *remote_port;
};

struct raw_child {
	char *name;
	char **local, **remote, **proposals;
	unsigned local_count, remote_count, proposals_count;
	char *mode, *protocol, *local_port, *remote_port;
	char *fallback_clear, *idle_timeout, *lifetime, *lifetime_bytes, *lifetime_packets, *rekey_margin, *start, *replay_window, *df, *copy_dscp, *dscp;
	char *sa_pairs, *esn, *clamp_mss;
};

struct raw_peer {
	char *name, *local, *remote, *local_id, *remote_id, *secret;
	char *principal, *remote_principal, *keytab;
	char *exchange, *auth, *certificate, *key, *passphrase_file;
	char **proposals;
	unsigned proposals_count;
	char *xauth, *users, *pam, *xauth_user, *xauth_password_file;
	char *mode_config, *pool, *domain, *banner, *save_password;
	char **dns, **nbns, **split, **local_lan, **split_dns;
	unsigned dns_count, nbns_count, split_count, local_lan_count, split_dns_count;
	char *idle_timeout, *quick_mode_limit, *master_pfs, *dpd_mode;
	char *fragmentation, *fragment_size;
	char *lifetime, *lifetime_bytes, *rekey_margin, *dpd, *encapsulation, *sha256_96, *retries, *retry_interval;
	struct raw_child *children;
	unsigned children_count;
};

struct raw_config {
	struct raw_system system;
	struct raw_port *ports;
	struct raw_route *routes;
	struct raw_secret *secrets;
	struct raw_policy *policies;
	struct raw_peer *peers;
	char **authorities, **revocation_lists;
	char *require_crl, *ocsp, *ocsp_responder, *ocsp_timeout;
	unsigned ports_count, routes_count, secrets_count, policies_count, peers_count;
	unsigned authorities_count, revocation_lists_count;
};

/* The whole document: a mapping into struct raw_config. */
extern const cyaml_schema_value_t config_schema;

#endif
