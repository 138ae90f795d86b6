/* See process.h. What can't be read counts as nothing: it is for people to look at. */
#include "daemon/sys/process.h"

#include "base/span.h"
#include "daemon/core/stats.h"
#include "daemon/sys/clock.h"

#include <fcntl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#define FILE_MAX 4096		     /* bytes; they have less than half of that */
#define FIELD_STATE 3		     /* of proc_pid_stat(5), the first behind the name */
#define FIELD_STARTTIME 22	     /* in ticks since boot */
#define FIELD_RESIDENT 24	     /* pages */
#define NO_LIMIT (UINT64_C(1) << 53) /* what JSON's readers can hold */

static struct span read_file(const char *path, char text[FILE_MAX])
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t len = fd >= 0 ? read(fd, text, FILE_MAX) : 0;

	if (fd >= 0)
		(void)close(fd);
	return span_of(text, len > 0 ? (size_t)len : 0);
}

static uint64_t number_of(struct span s)
{
	uint64_t number;

	return span_parse_u64(s, UINT64_MAX, &number) == 0 ? number : 0;
}

static void read_stat(struct process_facts *facts)
{
	uint64_t ticks = (uint64_t)sysconf(_SC_CLK_TCK), starttime_ms = 0;
	char text[FILE_MAX];
	struct span rest = read_file("/proc/self/stat", text), field;
	const char *name_end = rest.len ? memrchr(rest.ptr, ')', rest.len) : NULL;

	if (!name_end || name_end + 2 > rest.ptr + rest.len)
		return;
	rest = span_of(name_end + 2, (size_t)(rest.ptr + rest.len - name_end - 2));
	for (int i = FIELD_STATE; span_split(&rest, ' ', &field); i++) {
		if (i == FIELD_STARTTIME)
			starttime_ms = number_of(field) * MS_PER_S / ticks;
		else if (i == FIELD_RESIDENT)
			facts->resident_bytes = number_of(field) * (uint64_t)getpagesize();
	}
	facts->started_s =
	    (uint64_t)(clock_wall().ms - clock_boot().ms + (int64_t)starttime_ms) / MS_PER_S;
}

static void read_locked(struct process_facts *facts)
{
	char text[FILE_MAX];
	struct span rest = read_file("/proc/self/status", text), line, value;

	while (span_split(&rest, '\n', &line)) {
		if (!span_starts(line, "VmLck:"))
			continue;
		line = span_trim(span_of(line.ptr + 6, line.len - 6));
		(void)span_split(&line, ' ', &value);
		facts->locked_bytes = number_of(value) * 1024;
	}
}

static uint64_t limit_of(int resource)
{
	struct rlimit limit;

	if (getrlimit((__rlimit_resource_t)resource, &limit) < 0)
		return 0;
	return limit.rlim_cur < NO_LIMIT ? limit.rlim_cur : NO_LIMIT;
}

static uint64_t ms_of(struct timeval t)
{
	return (uint64_t)t.tv_sec * MS_PER_S + (uint64_t)t.tv_usec / 1000;
}

void process_tell(struct engine *e, struct mono now)
{
	struct process_facts facts = {
		.at = now,
		.locked_max_bytes = limit_of(RLIMIT_MEMLOCK),
		.files_max = limit_of(RLIMIT_NOFILE),
	};
	struct rusage usage;
	struct stat st;

	if (!stats_wants_process(e, now))
		return;
	read_stat(&facts);
	read_locked(&facts);
	if (getrusage(RUSAGE_SELF, &usage) == 0)
		facts.cpu_ms = ms_of(usage.ru_utime) + ms_of(usage.ru_stime);
	if (stat("/proc/self/fd", &st) == 0)
		facts.files_open = (uint64_t)st.st_size; /* since Linux 6.2, else 0 */
	stats_note_process(e, &facts);
}
