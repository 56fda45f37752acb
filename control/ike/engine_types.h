/* The engine's own structures; private to control/ike and to the tests that look inside.
 * engine.h has what is done with them.
 *
 * Who owns what: an engine owns its peers; a peer owns its children (what is configured) and its
 * ISAKMP SAs; a child owns its SA pairs, which outlive the ISAKMP SA that negotiated them; an
 * ISAKMP SA owns its exchanges; an exchange owns at most one job. Anything may die in the middle of
 * a call:
 * *_kill() marks it, takes it out of service and out of the look-up tables; engine_reap() unlinks
 * and frees it when the outermost call returns. Loops over lists therefore may kill what they meet,
 * must skip what is dead, and no pointer dangles within a call. */
#ifndef SHRIKE_IKE_ENGINE_TYPES_H
#define SHRIKE_IKE_ENGINE_TYPES_H

#include <sys/queue.h>

#include "cert.h"
#include "dh.h"
#include "engine_limits.h"
#include "gss.h"
#include "ike.h"
#include "keymat.h"
#include "proposal.h"
#include "timer.h"

struct buf { /* owned bytes; secret ones are freed with buf_wipe */
	uint8_t *p;
	size_t len;
};

enum natt_version { NATT_NONE, NATT_DRAFT_02, NATT_DRAFT_03, NATT_RFC3947 };

struct child { /* a configured child and what it is doing */
	TAILQ_ENTRY(child) link, by_policy;
	struct ike *ike;
	struct peer *peer;
	struct ike_child_cfg cfg;
	bool dead;
	bool down;   /* by the operator: until up or acquire */
	bool clear;  /* fallen back: its policy lets packets pass unprotected */
	bool idle;   /* ended for want of traffic: until a packet, or up */
	bool wanted; /* somebody asked for it: negotiate until it is there */
	unsigned failures;
	uint64_t retry_at;   /* nothing new before that */
	uint64_t active_us;  /* the last packet of either direction */
	struct timer watch;  /* looks at its counters, see traffic.c */
	bool measured;	     /* rate says something */
	uint64_t rate[2];    /* bytes and packets a second of the busier direction, of late */
	uint64_t warned_at;  /* its volume is too small for the rate: said then */
	uint64_t quick_us;   /* what its last Quick Mode took */
	uint64_t settled_at; /* after a collision of rekeys no further one before that */
	TAILQ_HEAD(, pair) pairs;
};

/* An address of a pool: whose it is, or was. */
struct lease {
	char user[IKE_USER_LEN]; /* "": nobody's */
	int64_t last_s;		 /* wall clock, when it was last seen in use */
};

struct pool {
	struct ip_addr first;
	unsigned n;
	unsigned next; /* where the search for one that nobody ever had goes on */
	struct lease *lease[]; /* n; NULL: nobody's */
};

struct peer {
	TAILQ_ENTRY(peer) link, by_name, by_address;
	struct ike *ike;
	struct ike_peer_cfg cfg; /* deep copy; children are in the list below instead */
	bool dead;
	bool down;
	bool contacted;   /* an ISAKMP SA stood since we started: no INITIAL-CONTACT any more */
	bool want_phase1; /* asked for, or due for a rekey */
	unsigned failures;
	uint64_t retry_at, bad_spi_at, foreign_at;
	uint64_t call_at; /* its turn to begin a phase 1; 0: it has not asked for one */
	uint64_t main_us; /* what its last Main Mode took */
	uint64_t used_us; /* its last SA pair went */
	struct timer kick; /* runs peer_maintain() */
	char last_error[400];
	struct pool *pool;		/* NULL: none */
	struct ike_settings *assigned;	/* what the peer gave us by Mode Config, NULL: nothing */
	TAILQ_HEAD(, child) children;
	TAILQ_HEAD(, isakmp_sa) sas;
};

/* What XAuth and Mode Config are about, under one ISAKMP SA. */
struct access {
	bool proved;	/* XAuth is done, or not wanted */
	bool refused;	/* it failed: what remains is to say so */
	bool given;	/* an address was asked for, or handed out */
	bool contact;	/* the peer said INITIAL-CONTACT, before its user was known */
	bool unity;	/* of the peer: it knows Cisco's attributes */
	uint16_t tx_id; /* of our last transaction */
	char user[IKE_USER_LEN]; /* server: whom it authenticated as */
	struct ip_addr leased;	 /* to it; family IP_NONE: nothing */
	struct timer timer;	 /* too long */
};

struct isakmp_sa {
	TAILQ_ENTRY(isakmp_sa) link;  /* of the peer */
	LIST_ENTRY(isakmp_sa) bucket; /* by initiator cookie */
	SLIST_ENTRY(isakmp_sa) dead_link;
	TAILQ_ENTRY(isakmp_sa) half_link;
	struct ike *ike;
	struct peer *peer;
	bool initiator, dead;
	bool published; /* in ike->sas */
	bool half_open; /* responder, peer not authenticated: in ike->half_open */
	struct ip_addr half_source; /* where its first message came from */
	uint8_t phase1; /* enum exchange_type: Main Mode or Aggressive Mode */
	bool stale;     /* a Quick Mode timed out under it: not used for new ones */
	enum ike_sa_state state;
	uint8_t icookie[ISAKMP_COOKIE_LEN], rcookie[ISAKMP_COOKIE_LEN];
	struct ike_path path;
	struct ike_transform t;
	uint16_t auth; /* enum auth_method, as agreed */
	uint32_t life_s;
	uint64_t life_bytes, bytes; /* the limit (0: none), and what its messages had so far */
	bool used_up;               /* the limit is reached */
	uint32_t told_s;            /* responder: shorter than offered, to be told; 0 = nothing */
	uint64_t told_kb;
	struct ike_keys *keys;             /* secret memory; NULL until derived */
	uint8_t last_block[IKE_MAX_BLOCK]; /* of phase 1: where phase 2 IVs start */
	struct ike_id remote_id;
	enum natt_version natt;
	bool nat_local, nat_remote, encap;
	bool peer_dpd; /* it said so */
	bool peer_fragments;   /* likewise that it takes fragments */
	bool told_fragments;   /* we said that we do */
	uint16_t fragment_ids; /* of messages of ours, used */
	bool peer_parallel; /* likewise: it is one of us, takes any number of exchanges at once, numbers
			     * parallel pairs, and settles collisions of Main Modes by cookies */
	uint64_t created_us, established_us, expires_us, last_rx_us;
	uint64_t heard_us; /* when the first message of its Main Mode came in */
	struct timer life; /* soft, then hard; half-open: its deadline */
	struct timer dpd, keepalive, idle;
	bool soft_done;
	unsigned dpd_tries;
	uint32_t dpd_seq;
	uint32_t quick_modes;
	uint32_t *msgids; /* used, by either side */
	unsigned n_msgids, cap_msgids;
	uint32_t offered_s; /* lifetime offered by the peer when it began; 0: not said */
	uint64_t offered_kb;
	struct ike_hint hint; /* what a notify during Main Mode said; changes nothing but sentences */
	bool heard_natt;      /* something of it came in on port 4500 */
	bool asked; /* the peer began a Quick Mode under it: it believes who we are */
	bool locked; /* no Quick Mode and nothing else of phase 2 before XAuth and Mode Config are done */
	struct access *access; /* NULL: neither of the two */
	TAILQ_HEAD(, exchange) exchanges;
};

struct pair_keys {
	uint8_t in[SA_KEY_MAX], in_auth[SA_AUTH_MAX];
	uint8_t out[SA_KEY_MAX], out_auth[SA_AUTH_MAX];
};

enum pair_state { PAIR_NEW, PAIR_LIVE, PAIR_OLD };

struct pair {                    /* one SA pair, from its reservation to its end */
	TAILQ_ENTRY(pair) link;  /* of the child */
	LIST_ENTRY(pair) bucket; /* by ref.spi */
	SLIST_ENTRY(pair) dead_link;
	struct ike *ike;
	struct child *child;
	struct exchange *x; /* that is negotiating it; NULL afterwards */
	unsigned idx;       /* which of the child's parallel pairs */
	enum pair_state state;
	bool dead, initiator, in_set, out_set;
	bool rekey_due; /* soft limit reached, or asked for */
	bool redundant; /* made at the same time as a better one: keys kept, never sent with */
	bool indexed;   /* both sides know idx: it came with Quick Mode message 1 */
	bool runs_out;  /* a soft limit of its volume was reached */
	bool used_up;   /* a hard limit of its volume was reached */
	bool told;      /* old, and the peer was sent a DELETE for it */
	bool garbled;   /* that every packet fails its integrity check has been said */
	bool everything; /* its identities on the wire say that for our side, see qm_find_unity() */
	struct sa_ref ref;
	uint32_t spi_out;
	struct esp_transform t;
	bool udp_encap;
	struct ike_path path;
	struct ip_addr oa_local, oa_remote; /* see struct sa_params */
	struct selector sel;
	uint32_t life_s;
	uint64_t life_kb; /* agreed on, 0 = none */
	uint64_t seen_us, seen[2][2]; /* the last look: when, bytes and packets by enum sa_dir */
	struct pair_keys *keys; /* secret; until both directions are installed */
	uint64_t created_us, established_us, expires_us;
	uint64_t out_since_us; /* its outbound SA is installed */
	uint64_t known_us; /* ours, and the peer was known to have it, too, from then on; 0 = unknown */
	struct timer soft, end; /* end: the hard limit, or the end of the grace time */
	struct timer send;      /* armed: made, but its predecessor still sends, see SWITCH_US */
	char end_why[64];
};

struct qm { /* Quick Mode's own */
	struct child *child;
	unsigned idx;
	struct pair *pair;
	uint32_t replaces;              /* our SPI of the pair to be replaced, 0 = none */
	struct buf sa_body, id_i, id_r; /* as sent by the initiator, raw bodies */
	struct esp_choice choice;
	uint16_t group; /* PFS, 0 = none */
	bool have_ids;
	bool indexed; /* idx came from the initiator */
	bool everything; /* for the pair */
	struct ip_addr oa_local, oa_remote; /* NAT-OA of the peer: our address, and its own */
};

struct am { /* Aggressive Mode's own */
	struct buf id;                /* the peer's ID body, as it came in message 1 or 2 */
	struct buf hash;              /* initiator: HASH_R */
	unsigned proposal, transform; /* responder: what it chose of x->sai */
	struct buf early; /* responder: a message under the new SA that came before message 3 was done */
	struct ike_path early_path;
};

/* A signature to be made, or a peer to be checked: what a job takes with it and brings back. */
struct auth_work {
	struct cert_own *own;     /* to sign with; a reference */
	struct cert_store *trust; /* to check against; a reference */
	struct cert_bag *bag;     /* what the peer sent */
	struct ike_id id;         /* whom it claims to be */
	bool contact;             /* it said INITIAL-CONTACT */
	uint16_t auth;
	uint8_t hash[HASH_MAX_LEN]; /* HASH_I or HASH_R */
	size_t hash_len;
	uint8_t sig[CERT_MAX_SIG];
	size_t sig_len;
	int64_t now, not_after; /* seconds since the epoch; not_after: of the peer's certificate */
	bool cert_ok;           /* the certificate is fine, so it was the signature */
	struct cert_peer *peer; /* its certificate, while OCSP is asked about it */
	void (*then)(struct exchange *x, int rc); /* when all is known */
	char subject[200], why[CERT_WHY_LEN];
	struct gss_side *gss; /* of Kerberos, through all of Main Mode */
};

/* A name and a password on their way to whoever knows the users. */
struct user_work {
	struct ike_users *users; /* a reference */
	char user[IKE_USER_LEN], password[IKE_PASSWORD_LEN];
};

enum tx_kind { TX_XAUTH, TX_STATUS, TX_PULL, TX_PUSH };

struct tx { /* a Transaction's own */
	enum tx_kind kind;
	uint16_t id;
	bool ok; /* TX_STATUS: what it says */
};

struct exchange {
	TAILQ_ENTRY(exchange) link; /* of the ISAKMP SA */
	SLIST_ENTRY(exchange) dead_link;
	struct ike *ike;
	struct isakmp_sa *sa;
	uint8_t type; /* enum exchange_type */
	bool initiator;
	bool dead, done;
	bool busy;     /* waits for a job or an installation: takes no message */
	bool notified; /* an error notify went out: never a second one */
	uint8_t step;  /* index of the message that it waits for, see step_find() */
	uint32_t msgid;
	uint64_t started_us;
	uint8_t iv[IKE_MAX_BLOCK];
	uint8_t seen[SEEN_MAX][DIGEST_LEN]; /* hashes of the raw messages taken */
	unsigned n_seen, replies;
	struct buf tx; /* the last message sent */
	uint16_t fragment_id; /* of that one, should it be cut */
	unsigned tries;
	uint64_t interval_us;
	struct timer timer;
	struct job *job;
	void (*resume)(struct exchange *x, int rc); /* after a job or an installation */
	struct dh *dh;
	struct auth_work *work; /* of phase 1 with signatures, or Kerberos */
	struct buf gss_name, gss_token; /* Kerberos: the other side's */
	void (*gss_then)(struct exchange *x, int rc);
	struct buf ni, nr, peer_ke;
	struct buf gxy; /* secret */
	struct buf sai; /* phase 1: the initiator's SA body */
	struct am am;
	struct qm qm;
	struct tx tx_own;
	struct user_work *users; /* XAuth, server */
};

/* A message on its way through the driver. */
struct inmsg {
	const struct ike_path *path;
	struct isakmp_hdr hdr;
	struct view raw;          /* as received */
	struct payload_list list; /* views of the plaintext */
	struct view plain;        /* after the fixed header, decrypted */
};

struct job {
	struct ike_job base; /* first: it is what goes out and comes back */
	LIST_ENTRY(job) link;
	struct exchange *x; /* NULL: nobody waits any more */
	uint16_t group;
	struct dh *dh;
	struct buf peer;   /* the other side's public value, empty: only generate */
	struct buf shared; /* secret */
	/* instead of all that: */
	struct auth_work *work;
	int (*run)(struct auth_work *w);
	struct user_work *users; /* or that */
	int rc;
};

/* Wrong passwords of late, by source and by user. */
struct guesses {
	uint32_t key; /* a hash; 0: free */
	unsigned n;
	uint64_t until; /* nothing is checked before that */
};

struct ike_walk {
	LIST_ENTRY(ike_walk) link;
	struct ike *ike;
	struct peer *next; /* NULL: at the end */
};

TAILQ_HEAD(peer_index, peer);
TAILQ_HEAD(child_index, child);
struct fragment_set;

struct ike {
	struct ike_ops ops;
	struct ike_limits limits;
	struct timer_heap timers;
	TAILQ_HEAD(, peer) peers;
	struct peer_index peer_names[INDEX_BUCKETS], peer_addresses[INDEX_BUCKETS];
	struct peer_index peers_any; /* to any address */
	struct child_index child_policies[INDEX_BUCKETS];
	LIST_HEAD(, isakmp_sa) sas[SA_BUCKETS];
	LIST_HEAD(, pair) pairs[PAIR_BUCKETS];
	LIST_HEAD(, job) jobs;
	TAILQ_HEAD(, isakmp_sa) half_open; /* the oldest first */
	uint16_t half_sources[HALF_SOURCES]; /* of them, by a hash of the source */
	LIST_HEAD(, ike_walk) walks;
	SLIST_HEAD(, isakmp_sa) dead_sas;
	SLIST_HEAD(, exchange) dead_exchanges;
	SLIST_HEAD(, pair) dead_pairs;
	struct ike_totals totals;
	TAILQ_HEAD(, fragment_set) fragment_sets; /* fragment.c */
	unsigned n_fragment_sets;
	struct timer fragment_timer;
	uint64_t job_ids;
	uint32_t bucket_seed;
	size_t bytes; /* in objects below this one */
	bool closing;
	uint64_t call_next; /* the next free turn */
	uint64_t complaints_from; /* COMPLAINTS_MAX: the second that is counted */
	unsigned complaints;
	struct guesses guesses[GUESSES];
	struct sa_payload offer, answer; /* parsed, for the message in hand only */
	struct cfg_payload attrs;        /* likewise */
	struct inmsg in;
	uint8_t plain[IKE_MAX_MESSAGE];
	uint8_t out[MSG_MAX];
};

#endif
