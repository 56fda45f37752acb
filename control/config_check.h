/* Shared by the files that check the configuration; not for others. */
#ifndef SHRIKE_CONFIG_CHECK_H
#define SHRIKE_CONFIG_CHECK_H

#include "cert.h"
#include "config.h"
#include "config_doc.h"
#include "config_schema.h"

struct secret_entry {
	const char *name; /* of the raw configuration */
	uint8_t *key;	  /* secret memory; NULL when it could not be read (already reported) */
	size_t len;
	bool used;
};

struct check {
	struct config *cfg; /* filled in */
	const struct raw_config *raw;
	const struct config_doc *doc;
	struct config_report *report;
	const struct config *old; /* or NULL */
	char dir[CONFIG_PATH_MAX]; /* of the configuration file, with '/' at the end, or "" */
	struct secret_entry *secrets; /* raw->secrets_count entries, sorted by name */
	const struct raw_peer *own_of; /* the peer whose certificate was loaded last, */
	struct cert_own *own;	       /* and that: borrowed from its configuration */
	bool *port_ok;
	uint32_t next_id; /* where the search for a free policy id goes on */
	uint8_t *id_used; /* bitmap of SPD_MAX_POLICIES */
};

/* Where a value is: base "peers[0].children[1]", key "local", index 2 -> its line. key may be NULL
 * and index negative. */
struct where {
	char base[48];
	const char *key;
	int index;
};

struct where where_at(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
struct where where_key(struct where w, const char *key);
struct where where_item(struct where w, const char *key, unsigned index);

__attribute__((format(printf, 3, 4))) void check_error(struct check *c, struct where w,
							const char *fmt, ...);
__attribute__((format(printf, 3, 4))) void check_warn(struct check *c, struct where w,
						       const char *fmt, ...);

/* Each leaves *out alone when text is NULL (absent key), and reports what is wrong. They return
 * false after an error. */
bool check_number(struct check *c, struct where w, const char *text, uint64_t min, uint64_t max,
		  uint64_t *out);
bool check_bool(struct check *c, struct where w, const char *text, bool *out);
bool check_duration(struct check *c, struct where w, const char *text, uint64_t min_ms,
		    uint64_t max_ms, uint64_t *out_ms);
bool check_size(struct check *c, struct where w, const char *text, uint64_t min, uint64_t max,
		uint64_t *out);
/* Copies a text of at most size - 1 characters. */
bool check_text(struct check *c, struct where w, const char *text, char *out, size_t size);
bool check_name(struct check *c, struct where w, const char *text, char *out, size_t size);
/* One of n words; *out is its index. */
bool check_word(struct check *c, struct where w, const char *text, const char *const *words,
		unsigned n, unsigned *out);
bool check_addr(struct check *c, struct where w, const char *text, struct ip_addr *out);
bool check_prefix(struct check *c, struct where w, const char *text, struct ip_prefix *out);
/* A prefix, an address, a range "a-b", or "any". */
bool check_range(struct check *c, struct where w, const char *text, struct ip_range *out);

/* Reports the later of two equal names; names[i] may be NULL. list is "ports", where(i) = list[i]. */
void check_unique(struct check *c, const char *list, const char *const *names, size_t n);

/* The parts, in this order. */
void check_system(struct check *c);
void check_ports(struct check *c);
void check_routes(struct check *c);
void check_secrets(struct check *c);
void check_trust(struct check *c); /* authorities and revocation lists */
void check_policies(struct check *c);
void check_peers(struct check *c);
void check_order(struct check *c); /* policies that can never match */

/* config_life.c: what of a child and of a peer's Main Mode has an end. */
void check_child_life(struct check *c, struct where w, const struct raw_child *raw,
		      const struct ike_peer_cfg *peer, struct ike_child_cfg *child);
void check_peer_life(struct check *c, struct where w, const struct raw_peer *raw,
		     struct ike_peer_cfg *peer);
/* Dead peer detection. */
void check_dpd(struct check *c, struct where w, const struct raw_peer *raw,
	       struct ike_peer_cfg *peer);
/* config_child.c: phase 2 proposals as other options change them, in this order; then parallel pairs. */
void check_child_sha256(struct check *c, struct where w, bool truncate, struct ike_child_cfg *child);
void check_child_esn(struct check *c, struct where w, const struct raw_child *raw,
		     struct ike_child_cfg *child);
void check_child_ah(struct check *c, struct where w, const struct ike_peer_cfg *peer,
		    const struct ike_child_cfg *child);
/* Adds one struct ike_child_cfg, and its policy, per pair of local and remote network. */
size_t check_remote_networks(const struct raw_child *raw, const struct ike_peer_cfg *peer); /* how many */
void check_child_networks(struct check *c, struct where w, const struct raw_child *raw,
			  struct ike_peer_cfg *peer, const struct ike_child_cfg *template);
void check_child_pairs_number(struct check *c, struct where w, const struct raw_child *raw,
			      struct ike_child_cfg *child);

/* "no", "auto" or a number, see MSS_AUTO. */
void check_clamp_mss(struct check *c, struct where w, const char *text, uint16_t *out);
/* config_kerberos.c */
void check_kerberos(struct check *c, struct where w, const struct raw_peer *raw,
		    struct ike_peer_cfg *peer);
void check_kerberos_free(struct ike_peer_cfg *peer);
/* config_secret.c: reports a file that is not there, or that others can read. */
void check_secret_file(struct check *c, struct where w, const char *path);

/* config_access.c: XAuth and Mode Config; before the children, of which some have the pool. */
void check_access(struct check *c, struct where w, const struct raw_peer *raw,
		  struct ike_peer_cfg *peer);
void check_access_free(struct ike_peer_cfg *peer);
void check_pools(struct check *c);

/* A file's name, beside the configuration unless absolute; false after a report. */
bool check_path(struct check *c, struct where w, const char *text, char *out, size_t size);
/* Our certificate and key for a peer, and our identity: auth is AUTH_RSA_SIG, or any ECDSA method. */
void check_certificate(struct check *c, struct where w, const struct raw_peer *raw, bool rsa,
		       struct ike_peer_cfg *peer);
/* Likewise for hybrid authentication, in either role. */
void check_hybrid(struct check *c, struct where w, const struct raw_peer *raw,
		  struct ike_peer_cfg *peer);
/* The first line of a file that only we may read, as a text in secret memory of PASSPHRASE_CAP bytes;
 * NULL after a report. */
#define PASSPHRASE_CAP 1025
char *check_passphrase(struct check *c, struct where w, const char *path);
/* A file of users and hashes that only we may read; NULL after a report. */
struct ike_users *check_users_file(struct check *c, struct where w, const char *path);
/* The secret of that name, or NULL. */
struct secret_entry *check_find_secret(struct check *c, const char *name);
void check_free_secrets(struct check *c);
/* Adds a policy to the result with a stable id for name. NULL after an error (reported at w). */
struct spd_policy *check_add_policy(struct check *c, struct where w, const char *name,
				    enum policy_action action, const struct selector *sel);

#endif
