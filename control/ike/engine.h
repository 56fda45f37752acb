/* What the files of the engine do for each other, file by file; private to control/ike and to the tests
 * that look inside. engine_types.h has the structures, and says who owns what. */
#ifndef SHRIKE_IKE_ENGINE_H
#define SHRIKE_IKE_ENGINE_H

#include "engine_types.h"

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

/* ------------------------------------------------------------------------ peer_match.c ------ */
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

/* ------------------------------------------------------------------------ peer.c ------------ */
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
/* sa is the first one with its party since we started: it says INITIAL-CONTACT. */
bool peer_first_contact(const struct peer *peer, const struct isakmp_sa *sa);
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

/* ------------------------------------------------------------------------ half_open.c ------- */
/* No place for another first message from there. Where it is full, the oldest that never went on
 * makes room; either way somebody is refused, and counted. */
bool half_open_full(struct ike *ike, const struct ip_addr *source);

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
/* As the responder of Main Mode likewise, behind our message 6: that is told, and nothing else. */
void main_mode_refused(struct isakmp_sa *sa, uint16_t notify);
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
void vendor_write(struct msgbuf *m, struct isakmp_sa *sa, size_t room);
void vendor_read(struct isakmp_sa *sa, const struct payload_list *l);

#endif
