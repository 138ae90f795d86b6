/* See warm.h. */
#include "daemon/sys/warm.h"

#include "base/mem.h"
#include "daemon/core/handover.h"
#include "daemon/sys/clock.h"
#include "daemon/sys/log.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <systemd/sd-daemon.h>
#include <systemd/sd-id128.h>
#include <unistd.h>

#ifndef MFD_NOEXEC_SEAL
#define MFD_NOEXEC_SEAL 0x0008U /* Linux 6.3 */
#endif

static_assert(sizeof(sd_id128_t) == IMAGE_BOOT_SIZE, "");

#define EXTEND_US 5000000
#define SLOW_BYTES_A_US 32 /* that the slowest machine writes: a tenth of what others do */

#define SEALS (F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE)

struct mapping {
	void *ptr;
	size_t size;
};

static void mapping_deinit(struct mapping *m)
{
	if (m->ptr)
		(void)munmap(m->ptr, m->size);
	*m = (struct mapping){ 0 };
}

static void owner_deinit(struct image_owner *owner)
{
	sodium_memzero(owner, sizeof(*owner));
}

static void fd_deinit(const int *fd)
{
	if (*fd >= 0)
		(void)close(*fd);
}

#define cleanup_mapping __attribute__((cleanup(mapping_deinit)))
#define cleanup_owner __attribute__((cleanup(owner_deinit)))
#define cleanup_fd __attribute__((cleanup(fd_deinit)))

/* Where the boot has no id to read, no two are told apart; memory does not outlive one anyway. */
static void set_owner(struct image_owner *owner, const struct warm_owner *from)
{
	sd_id128_t boot = SD_ID128_NULL;

	if (sd_id128_get_boot(&boot) < 0)
		boot = SD_ID128_NULL;
	image_owner_set(owner, span_of(from->secret_key->ptr, from->secret_key->len),
			span_str(from->api_url), boot.bytes);
}

/* Sealed, or it might change or shrink while it is read. */
static const char *open_image(int fd, struct mapping *ret)
{
	struct stat st;
	int seals = fcntl(fd, F_GET_SEALS);
	void *ptr;

	if (seals < 0 || (seals & SEALS) != SEALS || fstat(fd, &st) < 0 || st.st_size <= 0)
		return "it is no sealed memory";
	ptr = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
	if (ptr == MAP_FAILED)
		return strerror(errno);
	*ret = (struct mapping){ ptr, (size_t)st.st_size };
	return NULL;
}

static const char *read_image(struct engine *e, const struct warm_owner *from,
			      const struct activation *handed, size_t max_token_size,
			      struct handover *ret)
{
	cleanup_mapping struct mapping image = { 0 };
	cleanup_owner struct image_owner owner;
	const char *refused = "there is more than one";
	int result;

	if (handed->n_images == 1)
		refused = open_image(handed->images[0], &image);
	if (refused)
		return refused;
	set_owner(&owner, from);
	result = handover_read(e, clock_boot(), &owner, span_of(image.ptr, image.size),
			       max_token_size, ret);
	if (result < 0)
		return strerror(-result);
	return result ? image_result_text((enum image_result)result) : NULL;
}

bool warm_restore(struct engine *e, const struct warm_owner *owner, struct activation *handed,
		  size_t max_token_size)
{
	struct handover handover;
	const char *refused;

	if (handed->n_images == 0)
		return true;
	refused = read_image(e, owner, handed, max_token_size, &handover);
	if (refused) {
		log_warning("the cache of the last process is refused reason=\"%s\", starting "
			    "without it",
			    refused);
		warm_forget(handed);
		return false;
	}
	log_info("restored tokens=%zu left=%zu age_ms=%lld", handover.tokens, handover.left,
		 (long long)handover.age_ms);
	return true;
}

void warm_forget(struct activation *handed)
{
	if (handed->n_images == 0)
		return;
	(void)sd_notify(0, "FDSTOREREMOVE=1\nFDNAME=" ACTIVATION_CACHE);
	while (handed->n_images)
		(void)close(handed->images[--handed->n_images]);
}

static int new_memfd(void)
{
	int fd =
	    memfd_create("clerk-tokend-cache", MFD_CLOEXEC | MFD_ALLOW_SEALING | MFD_NOEXEC_SEAL);

	if (fd < 0 && errno == EINVAL) /* an older kernel */
		fd = memfd_create("clerk-tokend-cache", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	return fd;
}

/* Of memory that is there: a page that was missing later would be a SIGBUS. */
static int make_room(int fd, size_t size, struct mapping *ret)
{
	void *ptr;

	if (fallocate(fd, 0, 0, (off_t)size) < 0)
		return -errno;
	ptr = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (ptr == MAP_FAILED)
		return -errno;
	(void)madvise(ptr, size, MADV_DONTDUMP); /* no core is written in any case */
	*ret = (struct mapping){ ptr, size };
	return 0;
}

static int write_image(struct engine *e, const struct warm_owner *from, int fd, int64_t *ret_size)
{
	cleanup_mapping struct mapping image = { 0 };
	cleanup_owner struct image_owner owner;
	unsigned char salt[IMAGE_SALT_SIZE];
	struct mono now = clock_boot(); /* one for both, so that both find the same */
	int64_t size;
	int result;

	set_owner(&owner, from);
	randombytes_buf(salt, sizeof(salt));
	size = handover_write(e, now, &owner, salt, NULL, 0);
	if (size < 0)
		return (int)size;
	/* Of a large one, systemd is told that it takes a while. */
	(void)sd_notifyf(0, "EXTEND_TIMEOUT_USEC=%lld",
			 (long long)size / SLOW_BYTES_A_US + EXTEND_US);
	result = make_room(fd, (size_t)size, &image);
	if (result == 0)
		size = handover_write(e, now, &owner, salt, image.ptr, image.size);
	*ret_size = size;
	return size < 0 ? (int)size : result;
}

static int hand_over(int fd)
{
	int result;

	if (fcntl(fd, F_ADD_SEALS, SEALS) < 0)
		return -errno;
	result = sd_pid_notify_with_fds(0, 0, "FDSTORE=1\nFDNAME=" ACTIVATION_CACHE, &fd, 1);
	return result < 0 ? result : 0;
}

void warm_keep(struct engine *e, const struct warm_owner *owner)
{
	struct mono begin = clock_boot();
	cleanup_fd int fd = -1;
	int64_t size = 0;
	int result;

	if (!getenv("NOTIFY_SOCKET"))
		return;
	fd = new_memfd();
	result = fd < 0 ? -errno : write_image(e, owner, fd, &size);
	if (result == 0)
		result = hand_over(fd);
	if (result < 0)
		log_warning("the cache can't be kept for the next process error=\"%s\", ignoring",
			    strerror(-result));
	else
		log_info("kept for the next process bytes=%lld ms=%lld", (long long)size,
			 (long long)mono_diff_ms(clock_boot(), begin));
}
