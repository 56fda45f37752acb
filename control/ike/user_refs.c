/* References to whoever knows the users: apart from the engine, for the configuration alone. */
#include "ike.h"

struct ike_users *ike_users_ref(struct ike_users *u)
{
	if (u)
		u->refs++;
	return u;
}

void ike_users_free(struct ike_users *u)
{
	if (u && --u->refs == 0)
		u->free(u);
}
