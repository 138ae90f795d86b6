/* See clock.h. */
#include "daemon/sys/clock.h"

#include <assert.h>
#include <time.h>

static int64_t read_ms(clockid_t id)
{
	struct timespec ts;
	int result = clock_gettime(id, &ts);

	assert(result == 0); /* both clocks exist on every Linux since 2.6.39 */
	(void)result;
	return (int64_t)ts.tv_sec * MS_PER_S + ts.tv_nsec / 1000000;
}

struct mono clock_boot(void)
{
	return (struct mono){ read_ms(CLOCK_BOOTTIME) };
}

struct wall clock_wall(void)
{
	return (struct wall){ read_ms(CLOCK_REALTIME) };
}
