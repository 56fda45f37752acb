/* Phases 1 that somebody began and nobody has proved anything in: counted, by source too, few, and
 * short of life. */
#include "bytes.h"
#include "exchange.h"
#include "isakmp_sa.h"

static unsigned source_bucket(const struct ike *ike, const struct ip_addr *source)
{
	uint32_t h = ike->bucket_seed;

	for (unsigned i = 0; i < sizeof(source->b); i += 4)
		h = (h ^ get_u32(source->b + i)) * 2654435761u;
	return (h ^ h >> 16) % HALF_SOURCES;
}

/* Whoever forged its source never saw our cookie, so nothing follows its first message. */
static bool half_open_idle(struct isakmp_sa *sa, uint64_t now)
{
	struct exchange *x = exchange_phase1(sa);

	return x && !x->busy && x->n_seen == 1 && sa->created_us + HALF_OPEN_YIELD_US <= now;
}

/* The oldest of those of a source (NULL: of all) that only wait for a message 3, if any; *n: how
 * many that source has. */
static struct isakmp_sa *half_open_oldest(struct ike *ike, const struct ip_addr *source,
					  unsigned *n)
{
	struct isakmp_sa *sa, *idle = NULL;
	uint64_t now = ike_now(ike);

	*n = 0;
	TAILQ_FOREACH(sa, &ike->half_open, half_link) {
		if (source && !ip_addr_equal(&sa->half_source, source))
			continue;
		++*n;
		if (!idle && half_open_idle(sa, now))
			idle = sa;
		if (!source && (idle || sa->created_us + HALF_OPEN_YIELD_US > now))
			break; /* the others are younger */
	}
	return idle;
}

bool half_open_full(struct ike *ike, const struct ip_addr *source)
{
	unsigned per_source = ike->limits.half_open_per_source, same = 0;
	struct isakmp_sa *idle = NULL;

	/* a flood from many sources must not cost a walk over all of them */
	if (ike->half_sources[source_bucket(ike, source)] >= per_source)
		idle = half_open_oldest(ike, source, &same);
	if (same < per_source) {
		/* a part is kept for those whose address is configured: strangers alone can fill
		 * the rest */
		unsigned max = ike->limits.half_open_max;
		if (!peer_next_at(ike, source, NULL))
			max -= max / 4;
		if (ike->totals.half_open < max)
			return false;
		idle = half_open_oldest(ike, NULL, &same);
	}
	ike->totals.half_open_refused++;
	if (!idle)
		return true;
	sa_kill(idle); /* makes room */
	return false;
}

void sa_half_open(struct isakmp_sa *sa)
{
	struct ike *ike = sa->ike;
	uint32_t seconds = ike->limits.half_open_s;

	sa->half_open = true;
	sa->half_source = sa->path.remote;
	ike->totals.half_open++;
	TAILQ_INSERT_TAIL(&ike->half_open, sa, half_link);
	ike->half_sources[source_bucket(ike, &sa->half_source)]++;
	timer_set(&ike->timers, &sa->life, sa->created_us + seconds * SECOND);
}

void sa_not_half_open(struct isakmp_sa *sa)
{
	if (!sa->half_open)
		return;
	sa->half_open = false;
	sa->ike->totals.half_open--;
	TAILQ_REMOVE(&sa->ike->half_open, sa, half_link);
	sa->ike->half_sources[source_bucket(sa->ike, &sa->half_source)]--;
}
