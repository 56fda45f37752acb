/* The engine's own structures; private to control/ike and to the tests that look inside.
 *
 * Who owns what: an engine owns its peers; a peer owns its children (what is configured) and its
 * ISAKMP SAs; a child owns its SA pairs, which outlive the ISAKMP SA that negotiated them; an
 * ISAKMP SA owns its exchanges; an exchange owns at most one job. Anything may die in the middle of
 * a call:
 * *_kill() marks it, takes it out of service and out of the look-up tables; engine_reap() unlinks
 * and frees it when the outermost call returns. Loops over lists therefore may kill what they meet,
 * must skip what is dead, and no pointer dangles within a call. */
#ifndef SHRIKE_IKE_ENGINE_H
#define SHRIKE_IKE_ENGINE_H

#include <sys/queue.h>

#include "cert.h"
#include "dh.h"
#include "gss.h"
#include "ike.h"
#include "keymat.h"
#include "proposal.h"
#include "timer.h"

#define SECOND 1000000ull

#define SA_BUCKETS         8192
#define PAIR_BUCKETS       16384
#define INDEX_BUCKETS       4096
#define MSG_MAX            IKE_MAX_MESSAGE /* bytes of one message that we build: with a chain */
#define DIGEST_LEN         32
#define SEEN_MAX           4             /* messages that an exchange takes from the other side */
#define REPLIES_MAX        12            /* repeats of a stored reply to duplicates */
#define LINGER_US          (70 * SECOND) /* a finished exchange still knows duplicates that long */
#define GRACE_US           (10 * SECOND) /* an SA that was replaced lives on that long */
#define TOLD_US            (5 * SECOND) /* after the DELETE of an old pair its inbound side stays so long */
#define OLD_PAIRS_MAX      16           /* of those: more only when new ones come that fast */
#define SWITCH_US          SECOND        /* after message 3 the old SA sends on for that long */
#define SETTLE_US          (8 * SECOND) /* pairs made closer together than that are a collision */
#define RETRY_MAX_S        64           /* the longest back-off of a connection that must be up */
#define BLIND_REPEATS      2            /* a DELETE is not acknowledged: it is said three times */
/* Phases 1 of ours begin so far apart, but for a number at once: ten thousand peers in the same moment, at the start or
 * when a line is back, would fill every queue on the way and then wait for repeats. */
#define CALLS_PER_SECOND   500
#define CALL_BURST         64
#define COMPLAINTS_MAX     10     /* refusals a second of those who have proved nothing */
#define HALF_SOURCES	   4096
#define HALF_OPEN_YIELD_US SECOND /* a first message without a second keeps its place that long */
#define KEEPALIVE_US       (20 * SECOND)
#define BAD_SPI_US         (5 * SECOND) /* one reaction to unknown SPIs a peer in that time */
#define FOREIGN_US         (5 * SECOND) /* and one to messages of another IKE */
#define MSGIDS_MAX         65536        /* used under one ISAKMP SA; then it is replaced */
#define REFUSED_US         (5 * SECOND) /* a DELETE so soon refuses our Aggressive Mode */
#define EARLY_MAX          2048 /* bytes of a message that may wait for Aggressive Mode to end */
#define QUICK_OPEN_MAX     64           /* Quick Modes of ours under way under one ISAKMP SA */
#define QUICK_STALLED_US   (2 * SECOND) /* one without an answer for so long lets others begin */
#define YIELD_US           (5 * SECOND) /* so long a Main Mode SA for one Quick Mode is its maker's */
#define QUICK_PACE_US      10000        /* when there are as many, look again after that */
#define MAX_PENDING_QUICK  256          /* responder Quick Modes in progress under one ISAKMP SA */

#define ACCESS_US          (60 * SECOND) /* from phase 1 to a user and an address */
#define ACCESS_OPEN_MAX    256 /* SAs of one peer's that wait for their user at a time */
#define TRANSACTIONS_MAX   16 /* of the other side's under one ISAKMP SA while its user is not known, */
#define TRANSACTIONS_LATER 64 /* and afterwards, of late */

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
#define GUESSES   1024
#define FORGET_US (600 * SECOND)
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

/* ------------------------------------------------------------------------ memory (mem.c) ---- */
void *ike_alloc(struct ike *ike, size_t len); /* zeroed and counted; NULL when there is none */
void ike_dealloc(struct ike *ike, void *p, size_t len);
void *ike_secret_alloc(struct ike *ike, size_t len);
void ike_secret_dealloc(struct ike *ike, void *p, size_t len);
int buf_set(struct ike *ike, struct buf *b, const void *p, size_t len); /* 0 or -ENOMEM */
void buf_free(struct ike *ike, struct buf *b);
void buf_wipe(struct ike *ike, struct buf *b); /* for those from ike_secret_alloc */
static inline struct view buf_view(const struct buf *b)
{
	return (struct view){ b->p, b->len };
}

/* ------------------------------------------------------------------------ engine.c ---------- */
uint64_t ike_now(struct ike *ike);
int64_t ike_wall(struct ike *ike);	/* seconds since the epoch */
uint32_t ike_random32(struct ike *ike); /* 0 when the random source failed */
void engine_reap(struct ike *ike);
void message_digest(const uint8_t *msg, size_t len, uint8_t out[DIGEST_LEN]);
/* Anybody can make us refuse: is this one worth an answer and a line in the log? */
bool complaint_allowed(struct ike *ike);

/* ------------------------------------------------------------------------ notes.c ----------- */
/* Raises an event; peer, child and sa may be NULL. */
__attribute__((format(printf, 6, 7))) void ike_event(struct ike *ike, enum ike_event_type type,
						     struct peer *peer, struct child *child,
						     const struct isakmp_sa *sa, const char *fmt,
						     ...);
#define ike_note(ike, peer, sa, ...) ike_event(ike, IKE_EV_NOTE, peer, NULL, sa, __VA_ARGS__)
/* Remembers a sentence as the peer's last error, and says it as a note. */
__attribute__((format(printf, 3, 4))) void peer_error(struct peer *peer, const struct isakmp_sa *sa,
						      const char *fmt, ...);
/* Likewise, as a warning: it works, but not as it should. */
__attribute__((format(printf, 3, 4))) void child_warning(struct child *child,
							 const struct isakmp_sa *sa,
							 const char *fmt, ...);
/* The same with a diagnosis, whose sentence it is. child NULL: of the peer as a whole. */
void peer_diagnosis(struct peer *peer, struct child *child, const struct isakmp_sa *sa,
		    const struct ike_diagnosis *d);
/* An event with its diagnosis. */
void ike_event_diagnosis(struct ike *ike, enum ike_event_type type, struct peer *peer,
			 struct child *child, const struct isakmp_sa *sa,
			 const struct ike_diagnosis *d);
void timing_add(struct ike_timing *t, uint64_t us);
/* What we offer, for people: "aes256-sha256-modp2048, aes128-sha1-modp1024"; returns buf. */
const char *ike_offer_text(const struct ike_peer_cfg *cfg, char *buf, size_t size);
const char *esp_offer_text(const struct ike_child_cfg *cfg, char *buf, size_t size);

/* ------------------------------------------------------------------------ index.c ----------- */
void index_init(struct ike *ike);
void index_peer(struct peer *peer); /* once its configuration is there */
void unindex_peer(struct peer *peer);
void index_child(struct child *child);
void unindex_child(struct child *child);
struct peer *peer_find(struct ike *ike, const char *name);
/* The peer configured for this remote address (family IP_NONE: any) after p, or the first; NULL at the
 * end. In the order of the configuration. */
struct peer *peer_next_at(struct ike *ike, const struct ip_addr *remote, struct peer *p);
/* Likewise the children of a policy. */
struct child *child_next_of(struct ike *ike, uint32_t policy, struct child *c);

/* ------------------------------------------------------------------------ peer.c ------------ */
/* The connection for a path that does phase 1 in this exchange (0: whichever): exact addresses first,
 * then any; one that is down by command only where no other has the same claim. */
struct peer *peer_by_path(struct ike *ike, const struct ike_path *path, uint8_t phase1);
/* The exchange that its phase 1 is done in, by either side: enum exchange_type. */
uint8_t peer_phase1(const struct peer *peer);
bool peer_accepts(const struct peer *peer, const struct ike_path *path);
/* Takes whoever knows the secret: any address, and no identity configured. */
bool peer_is_open(const struct peer *peer);
struct ike_id peer_local_id(const struct peer *peer, const struct ike_path *path);
struct ike_id peer_remote_id(const struct peer *peer, const struct ike_path *path);
bool peer_may_initiate(const struct peer *peer);
/* The authentication method on the wire when we, or the peer, begin (enum auth_method): with XAuth it says
 * which side is asked for a user. */
uint16_t peer_auth(const struct peer *peer, bool initiator);
bool auth_is_psk(uint16_t auth);
/* That side of phase 1 proves itself with a certificate. */
bool auth_signs(uint16_t auth, bool initiator);
/* The kind of signature: XAuth is not part of it. */
uint16_t auth_signature(uint16_t auth);
/* Its secret, or our certificate and somebody to trust. */
bool peer_has_credentials(const struct peer *peer);
/* The SA that new Quick Modes and Informationals go under, or NULL. */
struct isakmp_sa *peer_sa(struct peer *peer);
/* Looks after everything that should be up, soon (from a timer). */
void peer_kick(struct peer *peer);
void peer_maintain(void *arg); /* the kick timer's */
void peer_phase1_failed(struct peer *peer);
void peer_lost(struct peer *peer, struct isakmp_sa *sa); /* dead peer detection gave up */
/* A peer's address moved: pairs that still send to the old one get successors. */
void peer_moved(struct peer *peer, const struct ike_path *from);
void peer_down(struct peer *peer, const char *why); /* DELETEs for everything */
void peer_phase1_up(struct peer *peer, struct isakmp_sa *sa);
/* Pairs and other SAs from before `before` are void: the peer has started anew. */
void peer_forget_before(struct peer *peer, uint64_t before, struct isakmp_sa *except);
void peer_free(struct peer *peer);
uint32_t retry_ms(const struct peer *peer);
unsigned retry_count(const struct peer *peer);
/* 1, 2, 4 .. RETRY_MAX_S seconds and up to a quarter more. */
uint64_t backoff_us(struct ike *ike, unsigned failures);

/* ------------------------------------------------------------------------ config.c ---------- */
int peer_cfg_copy(struct ike *ike, struct ike_peer_cfg *to, const struct ike_peer_cfg *from);
void peer_cfg_clear(struct ike *ike, struct ike_peer_cfg *cfg);
bool peer_cfg_equal(const struct ike_peer_cfg *a, const struct ike_peer_cfg *b);
bool child_cfg_equal(const struct ike_child_cfg *a, const struct ike_child_cfg *b);

/* ------------------------------------------------------------------------ child.c ----------- */
struct child *child_new(struct peer *peer, const struct ike_child_cfg *cfg);
void child_free(struct child *child); /* its pairs must be dead */
struct child *child_find(struct peer *peer, const char *name);
unsigned child_pairs(const struct child *child);
bool child_missing(struct child *child, unsigned idx); /* no live pair, none negotiated by us */
bool child_wants(const struct child *child);
void child_failed(struct child *child);
/* The responder's choice: what pair index an incoming Quick Mode is for. */
unsigned child_pick_index(struct child *child);
/* Starts what is missing or due under sa, at most budget Quick Modes; returns how many. */
unsigned child_negotiate(struct child *child, struct isakmp_sa *sa, unsigned budget);
bool child_has_work(struct child *child);
/* All of its pairs stand, and none is about to run out of its volume. */
bool child_can_wait(struct child *child);
/* When it may be worked at: after a failure, or a collision of rekeys, not at once. */
uint64_t child_not_before(struct child *child);
void child_established(struct child *child);
void child_delete_pairs(struct child *child, const char *why);

/* ------------------------------------------------------------------------ pair.c, pair_replace.c */
struct pair *pair_new(struct child *child, unsigned idx, bool initiator, struct exchange *x);
struct pair *pair_find(struct ike *ike, uint32_t spi);
uint8_t pair_proto(const struct pair *pair); /* enum protocol_id */
int pair_derive(struct pair *pair, struct exchange *x); /* keys and everything else chosen */
int pair_install(struct pair *pair, enum sa_dir dir);
/* Both directions stand: replaces its predecessors, sets the limits, says so. */
void pair_established(struct pair *pair, uint32_t replaces, uint32_t life_s);
/* Takes it out of service at once. tell: with a DELETE when there is an ISAKMP SA to send it. */
void pair_delete(struct pair *pair, bool tell, const char *why);
/* The peer deleted it: a redundant pair steps in where there is one. */
void pair_deleted(struct pair *pair);
void pair_kill(struct pair *pair);
void pair_free(struct pair *pair);

/* ------------------------------------------------------------------------ fallback.c -------- */
/* A negotiation failed: where the user wants that, packets pass in the clear until one succeeds. */
void child_fall_back(struct child *child);
/* No packet passes in the clear any more. */
void child_protect(struct child *child, const char *why);

/* ------------------------------------------------------------------------ traffic.c --------- */
void child_watch_init(struct child *child);
void child_watch(struct child *child); /* starts looking where there is something to look for */
/* The last packet of a peer's pairs in that direction, 0 = none. */
uint64_t peer_last_packet(struct peer *peer, const struct ike_path *path, enum sa_dir dir);
/* Packets have passed in that direction. */
bool pair_carried(struct pair *pair, enum sa_dir dir);
/* Measures the rate since the last look. */
void pair_measure(struct pair *pair);
/* The limits of bytes and packets, the soft ones early enough for a successor at the rate of late. */
void pair_volume(struct pair *pair, struct sa_params *p);
/* How long the pair that sends may do so for this one that succeeds it, at most SWITCH_US. */
uint64_t pair_send_on_us(const struct pair *successor);

/* ------------------------------------------------------------------------ isakmp_sa.c ------- */
struct isakmp_sa *sa_new(struct peer *peer, const struct ike_path *path, bool initiator,
			 uint8_t phase1);
void sa_publish(struct isakmp_sa *sa); /* responder: its initiator cookie is known */
void sa_move(struct isakmp_sa *sa, struct peer *to);
/* By both cookies, or by the initiator's while an initiator does not know the other yet. */
struct isakmp_sa *sa_find(struct ike *ike, const uint8_t *icookie, const uint8_t *rcookie);
/* A first message's: responder SAs from that source with that initiator cookie. */
struct isakmp_sa *sa_find_first(struct ike *ike, const uint8_t *icookie,
				const struct ike_path *path);
/* No place for another first message from there. Where it is full, the oldest that never went on
 * makes room; either way somebody is refused, and counted. */
bool half_open_full(struct ike *ike, const struct ip_addr *source);
void sa_retire(struct isakmp_sa *sa, uint64_t grace_us); /* a newer one took over */
bool sa_usable(const struct isakmp_sa *sa); /* for new Quick Modes and Informationals */
/* More Quick Modes were done or are under way under it than it may carry; ours false: without
 * those that we began. */
bool sa_quick_beyond(const struct isakmp_sa *sa, bool ours);
/* How many Quick Modes it may still carry, by either side. */
unsigned sa_quick_left(const struct isakmp_sa *sa);
/* An SA that the responder has, and we do not want: it is told, where keys are there to tell it. */
void sa_take_back(struct isakmp_sa *sa, const uint8_t *last_block, uint16_t notify);
void sa_kill(struct isakmp_sa *sa);
/* DELETE for it, a moment for the repeats, then gone. */
void sa_close(struct isakmp_sa *sa, const char *why);
void sa_deleted(struct isakmp_sa *sa); /* by the peer, with an authenticated DELETE */
void isakmp_sa_free(struct isakmp_sa *sa);
void sa_established(struct isakmp_sa *sa, const uint8_t *last_block);
void sa_heard(struct isakmp_sa *sa, const struct ike_path *path); /* an authenticated message */
/* It must not live longer than that; bytes 0: no limit. */
void sa_shorten(struct isakmp_sa *sa, uint32_t life_s, uint64_t bytes);
/* len more bytes under its keys, sent or received: its volume may be used up. */
void sa_count(struct isakmp_sa *sa, size_t len);
/* Something authenticated came from there: a peer behind a NAT is followed. */
void sa_moved(struct isakmp_sa *sa, const struct ip_addr *remote, uint16_t port);
bool sa_msgid_used(const struct isakmp_sa *sa, uint32_t msgid);
int sa_msgid_use(struct isakmp_sa *sa, uint32_t msgid);
uint32_t sa_msgid_new(struct isakmp_sa *sa); /* 0 on failure */
void sa_dpd_ack(struct isakmp_sa *sa, uint32_t seq);

/* ------------------------------------------------------------------------ jobs.c ------------ */
/* Makes x->dh (when there is none yet) in the group and, with x->peer_ke set, x->gxy, on another
 * thread; then resume(x, rc). 0 or -errno; after 0 the exchange is busy. */
int job_start(struct exchange *x, uint16_t group, void (*resume)(struct exchange *x, int rc));
/* Takes x->work along and calls run(x->work) on another thread, which touches nothing else; then
 * resume(x, what run returned) with x->work back. */
int job_start_auth(struct exchange *x, enum ike_job_kind kind, int (*run)(struct auth_work *w),
		   void (*resume)(struct exchange *x, int rc));
/* Has x->users check its name and password on another thread; then resume(x, result). */
int job_start_users(struct exchange *x, void (*resume)(struct exchange *x, int rc));
/* What an exchange or job holds; NULL is fine. */
void auth_work_free(struct ike *ike, struct auth_work *w);
void user_work_free(struct ike *ike, struct user_work *w);
void job_abandon(struct job *job);
void job_free(struct ike *ike, struct job *job);

/* ------------------------------------------------------------------------ the exchanges ----- */
int main_mode_start(struct peer *peer);
int aggressive_start(struct peer *peer);
/* A first message of Main Mode or Aggressive Mode. peer: the first that its path may mean. */
void phase1_respond(struct peer *peer, struct inmsg *m);
/* As the initiator we are done before the responder has looked at our proof: when it deletes the SA then,
 * or says an error (notify, 0: DELETE), Aggressive Mode failed. False when it was not that. */
bool aggressive_refused(struct isakmp_sa *sa, uint16_t notify);
/* Something under an SA whose Aggressive Mode still waits for its last message, or works on it. */
void aggressive_early(struct isakmp_sa *sa, const struct inmsg *m);
/* What fails is told by child_failed(). */
void quick_mode_start(struct isakmp_sa *sa, struct child *child, unsigned idx, uint32_t replaces);
void quick_mode_installed(struct exchange *x);
void quick_mode_respond(struct isakmp_sa *sa, struct inmsg *m);
void transaction_respond(struct isakmp_sa *sa, struct inmsg *m);
/* A peer refused with a notify: the Quick Mode that it means ends. */
void quick_mode_refused(struct isakmp_sa *sa, const struct notify *n);
void informational_receive(struct isakmp_sa *sa, struct inmsg *m);
void informational_clear(struct isakmp_sa *sa, struct inmsg *m);
/* What the peer says, mostly without proof, while we wait for its answer in phase 1. */
void informational_hint(struct isakmp_sa *sa, struct ike_hint h);
/* Returns the message as sent, for a moment (until engine_reap()), or NULL. */
const struct buf *info_notify(struct isakmp_sa *sa, uint8_t proto, uint16_t type, const void *spi,
			      size_t spi_len, const void *data, size_t data_len);
/* DELETE for what we receive of the pair. */
void info_delete_pair(struct isakmp_sa *sa, const struct pair *pair);
void info_delete_sa(struct isakmp_sa *sa);
/* A notify in the clear, for a phase 1 that fails. */
void info_clear_notify(struct ike *ike, const struct ike_path *path, const uint8_t *icookie,
		       const uint8_t *rcookie, uint16_t type);

/* ------------------------------------------------------------------------ lifetime.c -------- */
/* The shorter of two; 0 is no limit. */
uint64_t lifetime_shorter(uint64_t a, uint64_t b);
/* A limit of kilobytes in bytes; 0 where it is none, or more than can be counted. */
uint64_t lifetime_bytes(uint64_t life_kb);
/* Adds the notify RESPONDER-LIFETIME for our SPI of that protocol; 0 for what needs no telling. */
void lifetime_tell(struct msgbuf *m, uint8_t proto, uint32_t spi, uint32_t life_s, uint64_t life_kb);
/* Likewise for phase 1, in message 6: sa->told_s and told_kb. */
void lifetime_tell_sa(struct msgbuf *m, const struct isakmp_sa *sa);
/* The same in an Informational, once the SA stands. */
void lifetime_notify_sa(struct isakmp_sa *sa);
/* Shortens what was chosen to what such a notify in the message says. */
void lifetime_read(const struct payload_list *l, struct esp_choice *c);
/* Likewise what an ISAKMP SA has, by one notify (of any kind, about any protocol). */
void lifetime_read_sa(struct isakmp_sa *sa, const struct notify *n);

/* ------------------------------------------------------------------------ pair_index.c ------ */
/* Adds the notify that says which of the child's parallel pairs the Quick Mode is for. */
void pair_index_tell(struct msgbuf *m, const struct pair *pair);
/* True with the number when message 1 has it. */
bool pair_index_read(const struct payload_list *l, unsigned *idx);

/* ------------------------------------------------------------------------ natt.c, vendor.c -- */
void natt_write(struct msgbuf *m, const struct isakmp_sa *sa, enum hash_alg hash);
void natt_read(struct isakmp_sa *sa, const struct payload_list *l);
void natt_float(struct isakmp_sa *sa); /* initiator, before its last message */
uint16_t natt_encap(const struct isakmp_sa *sa, enum sa_mode mode);
/* Transport mode in UDP: both original addresses, as far as we know them (RFC 3947 section 5.2). */
void natt_oa_write(struct msgbuf *m, const struct isakmp_sa *sa, bool initiator);
/* What the peer says of them; whatever it leaves out stays IP_NONE. */
void natt_oa_read(struct exchange *x, const struct payload_list *l);
/* As far as the message does not grow beyond room bytes. */
void vendor_write(struct msgbuf *m, const struct isakmp_sa *sa, size_t room);
void vendor_read(struct isakmp_sa *sa, const struct payload_list *l);

#endif
