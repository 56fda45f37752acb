/* The IKEv1 engine: exchanges, SAs, timers and rekeying for many peers, without sockets, threads,
 * clocks or DPDK of its own. Everything from outside comes through struct ike_ops, so that the same
 * engine runs in the daemon and, on virtual time, in the simulated network.
 *
 * One thread calls everything here (the control thread). Public-key maths leaves it as jobs. */
#ifndef SHRIKE_IKE_H
#define SHRIKE_IKE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "addr.h"
#include "alg.h"
#include "diagnosis.h"
#include "message.h"
#include "sa_params.h"

#define IKE_NAME_LEN	  64
#define IKE_CFG_TRANSFORMS 32

struct cert_own; /* cert.h */
struct cert_store;
struct ike_kerberos_cfg; /* gss.h */

/* --------------------------------------------------------------------- configuration -------- */

enum child_start {
	START_PASSIVE,	 /* only the peer starts it */
	START_IMMEDIATE, /* at start-up, and again whenever it is lost */
	START_ON_DEMAND, /* when a packet needs it (ike_acquire) */
};

/* --- remote access: XAuth and Mode Config --- */

#define IKE_USER_LEN      128 /* with the final zero */
#define IKE_PASSWORD_LEN  256
#define IKE_SERVERS       4  /* of one kind */
#define IKE_NETWORKS      32 /* of one kind */
#define IKE_DOMAIN_LEN    128
#define IKE_DOMAINS_LEN   1024 /* of names with commas between */
#define IKE_BANNER_LEN    512
#define IKE_POOL_MAX      16384 /* addresses of one peer's pool */

enum xauth_role {
	XAUTH_NONE,
	XAUTH_SERVER, /* asks the other side who it is */
	XAUTH_CLIENT, /* is asked */
};

/* Who knows the users. Made and freed on the engine's thread; check() runs on any. */
struct ike_users {
	/* May block, and takes the same time for a name that it does not know as for a wrong password.
	 * 0; -EACCES: name or password are wrong, or the account is closed; another -errno: the
	 * check could not be made. */
	int (*check)(const struct ike_users *u, const char *user, const char *password);
	void (*free)(struct ike_users *u); /* when nobody refers to it any more */
	unsigned refs;
};
struct ike_users *ike_users_ref(struct ike_users *u); /* NULL is fine in both */
void ike_users_free(struct ike_users *u);

/* What one side gives and the other gets by Mode Config. */
struct ike_settings {
	struct ip_addr address, netmask; /* family IP_NONE: not said */
	struct ip_addr dns[IKE_SERVERS], nbns[IKE_SERVERS];
	unsigned n_dns, n_nbns;
	struct ip_prefix split[IKE_NETWORKS];     /* what goes through the tunnel; none: everything */
	struct ip_prefix local_lan[IKE_NETWORKS]; /* and what does not */
	unsigned n_split, n_local_lan;
	bool save_password;
	char domain[IKE_DOMAIN_LEN];
	char split_dns[IKE_DOMAINS_LEN];
	char banner[IKE_BANNER_LEN];
	char version[IKE_DOMAIN_LEN]; /* of the other side's software */
};

struct ike_remote_cfg {
	enum xauth_role xauth;
	bool config; /* Mode Config: the side with a pool gives, the other gets */
	bool push;   /* SET by who gives, instead of REQUEST by who gets */
	bool has_pool;
	struct ip_range pool;
	struct ike_settings give;
	char user[IKE_USER_LEN]; /* as the client */
	char password[IKE_PASSWORD_LEN];
	struct ike_users *users; /* as the server; last: what stands before it is compared */
};

struct ike_child_cfg {
	char name[IKE_NAME_LEN];
	char list[IKE_NAME_LEN]; /* what all children of one list of networks are called, or "" */
	uint32_t policy; /* id of the SPD entry it serves */
	struct selector sel;
	bool pooled;   /* sel.remote is an address of the peer's pool: only for whom it is leased to */
	bool assigned; /* sel.local will be the address that Mode Config gives us, 0.0.0.0 until then */
	struct esp_transform esp[IKE_CFG_TRANSFORMS]; /* by preference */
	unsigned n_esp;
	enum sa_mode mode;
	enum child_start start;
	unsigned pairs;		   /* SA pairs with these selectors, 0 = 1 */
	uint32_t life_s;	   /* hard limit, 0 = 3600 */
	uint32_t margin_s;	   /* rekey that long before (less jitter of up to as much again) */
	uint64_t life_kb;	   /* hard limit of either direction, 0 = none */
	bool fallback_clear;	   /* pass its packets unprotected while nothing can be negotiated */
	uint32_t idle_s;	   /* without traffic for that long its pairs go, 0 = never */
	uint64_t life_packets;	   /* likewise; ours alone, IKEv1 cannot say it */
	uint32_t replay_window;	   /* 0 = default */
	enum df_policy df;
	bool copy_dscp;
	uint8_t dscp;		   /* of outer packets, when it is not copied */
	uint16_t clamp_mss;	   /* see MSS_AUTO */
};

enum fragmentation {
	FRAGMENTATION_YES,   /* long messages to peers that announce that they take fragments */
	FRAGMENTATION_NO,    /* neither sent nor taken */
	FRAGMENTATION_FORCE, /* likewise without such an announcement */
};

struct ike_peer_cfg {
	char name[IKE_NAME_LEN];
	struct ip_addr local;	/* one of ours */
	struct ip_addr remote;	/* family IP_NONE: any address (responder only) */
	struct ike_id local_id, remote_id; /* type 0: the address */
	uint16_t auth;		/* enum auth_method: of both sides; 0 = AUTH_PSK */
	struct cert_own *own;	  /* signatures: our chain and key; a reference is held */
	struct cert_store *trust; /* and whom we trust; likewise */
	struct ike_kerberos_cfg *kerberos; /* gss.h; owned, NULL unless auth is AUTH_KERBEROS */
	uint8_t *psk;		/* owned, secret memory; NULL = no PSK */
	size_t psk_len;
	char psk_name[IKE_NAME_LEN]; /* the secret's entry, for diagnosis */
	struct ike_transform ike[IKE_CFG_TRANSFORMS]; /* by preference */
	unsigned n_ike;
	uint32_t life_s;	/* hard limit, 0 = 14400 */
	uint32_t margin_s;	/* 0 = a tenth of the lifetime */
	uint64_t life_kb;	/* of IKE messages under one Main Mode SA, 0 = no limit */
	uint32_t retries;	/* transmissions after the first, 0 = 5 */
	uint32_t retry_ms;	/* first interval, doubled each time, 0 = 1000 */
	uint32_t quick_limit;	/* Quick Modes under one Main Mode SA, then a new one; 0 = any number,
				 * 1 = perfect forward secrecy of the master key */
	uint32_t idle_s;	/* a Main Mode SA without SA pairs is deleted after that, 0 = never */
	bool dpd_on_demand;	/* probe only when packets go out and none come back */
	uint32_t dpd_s;		/* idle seconds before a DPD probe, 0 = never ask (always answer) */
	bool aggressive;	/* phase 1 in Aggressive Mode, by either side; otherwise in Main Mode */
	bool force_encap;	/* UDP encapsulation even without a NAT */
	enum fragmentation fragmentation; /* of IKE messages; see fragment.h */
	uint32_t fragment_size; /* bytes of an IP packet that are not too long, 0 = IKE_FRAGMENT_SIZE */
	bool initiate;		/* allowed to initiate; needs a remote address */
	struct ike_remote_cfg *access; /* XAuth and Mode Config, NULL: neither; owned, secret memory */
	struct ike_child_cfg *children; /* owned array */
	unsigned n_children;
};

/* ------------------------------------------------------------------------- outside ---------- */

struct ike;

struct ike_path {
	struct ip_addr local, remote;
	uint16_t local_port, remote_port; /* 500 or 4500 on our side */
};

/* What a job spends its time with. Those that may wait for others must not hold up the maths, nor
 * each other. */
enum ike_job_kind {
	IKE_JOB_MATHS,
	IKE_JOB_USER,  /* a user's password is checked */
	IKE_JOB_FETCH, /* a server is asked (OCSP) */
	IKE_JOB_KINDS
};

/* A piece of public-key maths. The engine allocates and frees it; fn runs on any thread and touches
 * only the job; then ike_job_done() must be called on the engine's thread, exactly once. */
struct ike_job {
	void (*fn)(struct ike_job *job);
	uint64_t id;
	enum ike_job_kind kind;
	/* engine-private data follows */
};

enum ike_event_type {
	IKE_EV_PHASE1_UP,
	IKE_EV_PHASE1_DOWN,
	IKE_EV_PHASE1_FAILED,
	IKE_EV_CHILD_UP,
	IKE_EV_CHILD_REKEYED,
	IKE_EV_CHILD_DOWN,
	IKE_EV_CHILD_FAILED,
	IKE_EV_CHILD_CLEAR,	/* its packets pass unprotected from now on (fallback_clear) */
	IKE_EV_CHILD_PROTECTED, /* and from now on no more */
	IKE_EV_WARNING, /* it works, but not as it should */
	IKE_EV_NOTE,	/* one step of a timeline: a message sent or received, a decision */
};

struct ike_event {
	enum ike_event_type type;
	const char *peer;  /* configuration name, or "" while unknown */
	const char *child; /* or "" */
	const char *text;  /* a sentence that says what and why; never a secret */
	/* of what failed or is not as it should be; NULL: nothing is wrong, or only the text says */
	const struct ike_diagnosis *diagnosis;
	uint8_t icookie[ISAKMP_COOKIE_LEN], rcookie[ISAKMP_COOKIE_LEN];
	struct ike_path path;
};

struct ike_ops {
	void *ctx;
	/* Sends one ISAKMP message. The transport adds the non-ESP marker where local_port is 4500. */
	void (*send)(void *ctx, const struct ike_path *path, const uint8_t *msg, size_t len);
	/* Sends a NAT keepalive (one byte 0xff, no marker). */
	void (*keepalive)(void *ctx, const struct ike_path *path);
	uint64_t (*now_us)(void *ctx); /* monotonic */
	/* Seconds since the epoch, for the dates of certificates; NULL: the system's clock. */
	int64_t (*wall_s)(void *ctx);
	/* Cryptographic randomness; 0 or -errno. */
	int (*random)(void *ctx, void *buf, size_t len);
	/* Queues a job for a worker thread (or runs it at once and calls ike_job_done later). */
	void (*job)(void *ctx, struct ike_job *job);

	/* The encryption key of an ISAKMP SA, once it is derived: for Wireshark. NULL: nobody wants it. */
	void (*ike_key)(void *ctx, const uint8_t icookie[ISAKMP_COOKIE_LEN], const uint8_t *key,
			size_t len);

	/* The SA sink; see dataplane.h for the meaning. sa_install() is asynchronous: exactly one
	 * ike_sa_installed() follows for every call that returned 0. pair: index of parallel pairs. */
	int (*sa_reserve)(void *ctx, uint32_t policy, unsigned pair, struct sa_ref *out);
	void (*sa_release)(void *ctx, const struct sa_ref *ref);
	int (*sa_install)(void *ctx, const struct sa_params *p);
	void (*sa_remove)(void *ctx, const struct sa_ref *ref, enum sa_dir dir);
	/* Counters of an installed direction, last_used_us in the time of now_us(); false when there
	 * are none. NULL: nobody counts, and what depends on traffic is off. */
	bool (*sa_stats)(void *ctx, const struct sa_ref *ref, enum sa_dir dir,
			 struct sa_stats *out);

	/* Messages with these cookies belong to an ISAKMP SA of ours from now on (true), or no more; rcookie NULL: whatever
	 * it is. For whoever sorts floods. NULL: nobody does. */
	void (*cookies)(void *ctx, const uint8_t icookie[ISAKMP_COOKIE_LEN],
			const uint8_t rcookie[ISAKMP_COOKIE_LEN], bool known);

	/* A policy whose packets may pass in the clear (true), or must not any more (false): only of
	 * children with fallback_clear. NULL: they never do. */
	void (*policy_clear)(void *ctx, uint32_t policy, bool clear);

	/* A policy's local side is this address from now on, which Mode Config assigned to us; family
	 * IP_NONE: none any more. NULL: nobody wants to know. */
	void (*policy_local)(void *ctx, uint32_t policy, const struct ip_addr *local);
	/* A lease began or ended, see ike_lease_foreach(). NULL: nobody keeps them. */
	void (*leases_changed)(void *ctx);

	void (*event)(void *ctx, const struct ike_event *ev);
};

struct ike_limits {
	unsigned half_open_max;	       /* unauthenticated responder exchanges in all, 0 = 2048 */
	unsigned half_open_per_source; /* 0 = 16 */
	uint32_t half_open_s;	       /* their lifetime in seconds, 0 = 30 */
	uint32_t calls_per_second;     /* phases 1 of ours that begin, after some at once; 0 = 500 */
};

/* ------------------------------------------------------------------------------- engine ----- */

struct ike *ike_new(const struct ike_ops *ops, const struct ike_limits *limits);
/* Frees everything, without sending; SAs are removed from the sink first. */
void ike_free(struct ike *ike);

/* Takes a deep copy (also of psk and children; certificates and trust by reference). A peer of the
 * same name that is equal is left alone but for its certificates, which the next Main Mode uses;
 * one that differs is replaced: its SAs are deleted with DELETEs unless only names of children were
 * added or removed, then only those children are touched. 0 or -errno. */
int ike_peer_set(struct ike *ike, const struct ike_peer_cfg *cfg);
/* Removes a peer: DELETEs, then forgets. -ENOENT when there is none. */
int ike_peer_remove(struct ike *ike, const char *name);

/* A received ISAKMP message (marker removed). Any bytes are fine. */
void ike_input(struct ike *ike, const struct ike_path *path, const uint8_t *msg, size_t len);
void ike_job_done(struct ike *ike, struct ike_job *job);
void ike_sa_installed(struct ike *ike, const struct sa_ref *ref, enum sa_dir dir);
/* The data plane reached a limit of this pair. */
void ike_sa_limit(struct ike *ike, const struct sa_ref *ref, enum sa_dir dir, bool hard);
/* Every packet under this pair's inbound SPI failed its integrity check so far, that many: says so, once
 * for a pair. */
void ike_sa_garbled(struct ike *ike, const struct sa_ref *ref, uint64_t packets);
/* A packet wants this policy's SA. */
void ike_acquire(struct ike *ike, uint32_t policy);
/* Authenticated ESP of this pair, not a replay, came from another address or port than the one that
 * we send to: the peer's NAT has changed its mapping. Only pairs in UDP follow it. */
void ike_peer_moved(struct ike *ike, const struct sa_ref *ref, const struct ip_addr *remote,
		    uint16_t port);
/* ESP with an unknown SPI came from this address. */
void ike_bad_spi(struct ike *ike, const struct ip_addr *remote, uint32_t spi);

/* When ike_run_timers() next has work (now_us() time base), UINT64_MAX = never. */
uint64_t ike_next_timer(struct ike *ike);
/* Does some of what is due; ike_next_timer() says whether more is. */
void ike_run_timers(struct ike *ike);

/* By hand. name is a peer ("gw-b"), a peer and a child or list of children ("gw-b/net"), or for
 * ike_rekey() one pair of that ("gw-b/net#2"). 0; -ENOENT; -EALREADY; up:
 * -ENOTCONN when the peer has no address to call. */
int ike_up(struct ike *ike, const char *name);	  /* negotiates what is missing */
int ike_down(struct ike *ike, const char *name);  /* DELETEs, and stays down until up or acquire */
int ike_rekey(struct ike *ike, const char *name); /* a peer: phase 1; with child: phase 2 */
/* DELETE for everything (SIGTERM). Nothing new is negotiated afterwards. */
void ike_shutdown(struct ike *ike);

/* -------------------------------------------------------------------------- statistics ------ */

enum ike_sa_state { IKE_SA_CONNECTING, IKE_SA_ESTABLISHED, IKE_SA_REKEYED, IKE_SA_CLOSING };

struct ike_sa_info {
	const char *peer; /* "" while a responder does not know it yet */
	enum ike_sa_state state;
	bool initiator;
	uint8_t phase1; /* enum exchange_type: Main Mode or Aggressive Mode */
	uint8_t icookie[ISAKMP_COOKIE_LEN], rcookie[ISAKMP_COOKIE_LEN];
	struct ike_path path;
	bool nat_local, nat_remote; /* who is behind a NAT */
	struct ike_id local_id, remote_id;
	struct ike_transform t;
	uint64_t age_us, life_left_us; /* age since established; life_left 0 while connecting */
	uint64_t negotiation_us;       /* first message to established */
	uint32_t quick_modes;	       /* done under this SA */
	const char *user;	       /* that XAuth asked for and found, or "" */
	struct ip_addr leased;	       /* to the peer from its pool; family IP_NONE: none */
};

struct ike_lease {
	const char *peer, *user; /* without XAuth: its identity */
	struct ip_addr address;
	bool active;	 /* an SA stands for it */
	int64_t last_s;  /* seconds since the epoch: when it was last seen active */
};

struct ike_pool_info {
	struct ip_range range;
	unsigned size, active, kept; /* addresses in all; in use; kept for who had them last */
};

struct ike_child_info {
	const char *peer, *child;
	bool established;	/* false: being negotiated */
	bool current;		/* false: old, in its grace time after a rekey */
	bool udp_encap;
	struct sa_ref ref;
	uint32_t spi_out;
	unsigned pair; /* number among the parallel ones */
	struct esp_transform t;
	enum sa_mode mode;
	struct selector sel;
	uint64_t age_us, life_left_us, negotiation_us;
	struct ike_path path;
};

struct ike_timing { /* of finished negotiations since start */
	uint64_t count, failed, total_us, min_us, max_us, last_us;
};

struct ike_totals {
	struct ike_timing phase1, phase2;
	uint64_t messages_in, messages_out, retransmits, duplicates, dropped;
	uint64_t fragments_in, fragments_out, reassembled; /* messages put together again */
	uint64_t fragments_dropped;     /* malformed, or not wanted */
	uint64_t fragment_sets_dropped; /* never complete, or not of one message */
	uint64_t half_open, half_open_refused;
	uint64_t rekeys_phase1, rekeys_phase2;
};

/* Call fn for each; strings and structs are borrowed for the call. */
void ike_sa_foreach(struct ike *ike, void (*fn)(void *ctx, const struct ike_sa_info *i), void *ctx);
void ike_child_foreach(struct ike *ike, void (*fn)(void *ctx, const struct ike_child_info *i),
		       void *ctx);
/* Configured peers and children, with a word about each; children of a pool only while somebody has
 * their address. */
void ike_peer_foreach(struct ike *ike, void (*fn)(void *ctx, const struct ike_peer_cfg *cfg,
						  const char *last_error), void *ctx);
/* The same peer by peer while the engine goes on: with ten thousand of them, looking at all at once holds everything up.
 * Each peer as it is when its turn comes; one that is new or gone by then is seen or not. */
struct ike_walk;
struct ike_visitor {
	void *ctx;
	/* ISAKMP SAs of a peer, then its SA pairs, then the peer itself. */
	void (*sa)(void *ctx, const struct ike_sa_info *i);
	void (*child)(void *ctx, const struct ike_child_info *i);
	void (*peer)(void *ctx, const struct ike_peer_cfg *cfg, const char *last_error);
};
/* One peer; false: there is none of that name. */
bool ike_peer_visit(struct ike *ike, const char *name, const struct ike_visitor *v);
struct ike_walk *ike_walk_new(struct ike *ike); /* NULL: no memory */
/* Shows the next peer; any function may be NULL. False: there was none left. */
bool ike_walk_step(struct ike_walk *walk, const struct ike_visitor *v);
/* Before ike_free(); NULL is fine. */
void ike_walk_free(struct ike_walk *walk);
void ike_totals(struct ike *ike, struct ike_totals *out);
/* Every lease of every pool. */
void ike_lease_foreach(struct ike *ike, void (*fn)(void *ctx, const struct ike_lease *l), void *ctx);
/* From before: user of that peer had that address. 0; -ENOENT: no such peer, or the address is not of its
 * pool; -EEXIST: somebody has it. */
int ike_lease_restore(struct ike *ike, const char *peer, const char *user,
		      const struct ip_addr *address, int64_t last_s);
/* False when the peer has no pool. */
bool ike_pool_info(struct ike *ike, const char *peer, struct ike_pool_info *out);
/* What Mode Config gave us, borrowed until the next call of the engine; NULL: nothing. */
const struct ike_settings *ike_assigned(struct ike *ike, const char *peer);
/* Bytes of memory the engine holds, for accounting and leak tests. */
size_t ike_objects(const struct ike *ike);

#endif
