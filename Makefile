# clerk-tokend. `make help` lists what there is.

VERSION := 0.1.0
SOMAJOR := 1

PREFIX      ?= /usr/local
SYSCONFDIR  ?= /etc
BINDIR      ?= $(PREFIX)/bin
SBINDIR     ?= $(PREFIX)/sbin
LIBDIR      ?= $(PREFIX)/lib
INCLUDEDIR  ?= $(PREFIX)/include
MANDIR      ?= $(PREFIX)/share/man
UNITDIR     ?= $(PREFIX)/lib/systemd/system
CATALOGDIR  ?= $(PREFIX)/lib/systemd/catalog
SYSUSERSDIR ?= $(PREFIX)/lib/sysusers.d
TMPFILESDIR ?= $(PREFIX)/lib/tmpfiles.d
BASHDIR     ?= $(PREFIX)/share/bash-completion/completions
ZSHDIR      ?= $(PREFIX)/share/zsh/site-functions
FISHDIR     ?= $(PREFIX)/share/fish/vendor_completions.d
BUILD       ?= build
CC          ?= cc

# Debian's names of what is needed to build, to run the demo and the tests, and to measure.
DEPS_BUILD := gcc pkg-config libcurl4-openssl-dev libcjson-dev libevent-dev libsystemd-dev \
              libsodium-dev libinih-dev libssl-dev
DEPS_CHECK := $(DEPS_BUILD) libcmocka-dev python3 curl openssl netcat-openbsd nghttp2-proxy \
              systemd clang libclang-rt-dev clang-format valgrind gdb mandoc debhelper lintian g++ abigail-tools \
              bash-completion fish zsh nodejs npm
# What shows that Prometheus understands the metrics and the alerts; those tests are skipped without.
DEPS_OPS := prometheus python3-prometheus-client
DEPS_BENCH := $(DEPS_CHECK) memcached nginx strace gnuplot-nox

# ---------------------------------------------------------------------------------- flags

WARNINGS := -Wall -Wextra -Werror -Wshadow -Wstrict-prototypes -Wmissing-prototypes \
            -Wpointer-arith -Wwrite-strings -Wvla -Wformat=2 -Wundef -Wcast-align
HARDENING := -fstack-protector-strong -D_FORTIFY_SOURCE=2 -fPIE -fno-plt
LINK_HARDENING := -pie -Wl,-z,relro,-z,now,-z,noexecstack

OPT ?= -O2 -g
# The daemon is optimized as a whole, where that is gcc's to do: a hit crosses ten files.
IS_CLANG := $(findstring clang,$(shell $(CC) --version 2>/dev/null))
LTO := $(if $(IS_CLANG)$(SANITIZE),,-flto=auto -ffat-lto-objects)
AR_LTO := $(if $(LTO),gcc-ar,ar)
ifneq ($(SANITIZE),)
OPT += -fsanitize=$(SANITIZE) -fno-omit-frame-pointer -fno-sanitize-recover=all
HARDENING := -fPIE
endif

PACKAGES := libcurl libcjson libevent_core libsystemd libsodium inih
CPPFLAGS_ALL := -I. -D_GNU_SOURCE -DCLERK_TOKEND_VERSION='"$(VERSION)"' -DSANDBOX_VERSION='"$(VERSION)"' $(CPPFLAGS)
CFLAGS_ALL   := -std=gnu17 $(OPT) $(WARNINGS) $(CFLAGS)
LDFLAGS_ALL  := $(if $(LTO),-fno-lto) $(LINK_HARDENING) $(if $(SANITIZE),-fsanitize=$(SANITIZE)) $(LDFLAGS)

# Asked for when needed, so that `make deps` works where nothing is installed yet.
LIBS_DAEMON  = $(shell pkg-config --libs $(PACKAGES))
LIBS_SANDBOX = $(shell pkg-config --libs libevent_core libevent_openssl libcjson libssl libcrypto)
LIBS_TEST    = $(shell pkg-config --libs cmocka) $(LIBS_DAEMON) -pthread -lm

# -------------------------------------------------------------------------------- sources

BASE   := $(wildcard base/*.c)
PROTO  := $(wildcard proto/*.c)
CORE   := $(wildcard daemon/core/*.c)
# What changes the whole process is linked into the daemon alone.
WIPE   := daemon/sys/wipe.c
SYS    := $(filter-out $(WIPE),$(wildcard daemon/sys/*.c))
DAEMON := daemon/app.c daemon/main.c $(WIPE)
CLI    := client/cli.c $(wildcard client/cli_*.c)
CLIENT := $(filter-out $(CLI),$(wildcard client/*.c))
CLIENT_BASE := base/mem.c base/span.c base/buf.c base/heap.c $(PROTO)
UNITS   := $(wildcard systemd/*.service systemd/*.socket)
SANDBOX := $(wildcard tests/sandbox/*.c)
UNIT   := $(wildcard tests/unit/test_*.c)
FUZZ   := $(wildcard tests/fuzz/fuzz_*.c)
LOAD   := $(wildcard tests/systemd/*.c)
ADAPTERS := $(wildcard tests/conformance/adapters/*.c)
STRESS := $(wildcard tests/stress/*.c)
REPLAY := $(wildcard tests/replay/*.c)
MAN    := $(wildcard daemon/*.[1-8] client/*.[1-8] proto/*.[1-8] tests/sandbox/*.[1-8])
BENCH_LIB := bench/bench.c bench/draw.c bench/histogram.c bench/protocol.c
BENCH_CLIENT := $(patsubst %.c,$(BUILD)/%,$(wildcard bench/client/*.c))
SCALE := $(wildcard bench/scale/*.c)
BENCH  := $(filter-out $(BENCH_LIB),$(wildcard bench/*.c))

obj = $(patsubst %.c,$(BUILD)/obj/%.o,$(1))
pic = $(patsubst %.c,$(BUILD)/pic/%.o,$(1))

PROGRAMS := $(BUILD)/clerk-tokend $(BUILD)/clerk-token $(BUILD)/clerk-bapi-sandbox
LIBRARIES := $(BUILD)/libclerktoken.so.$(SOMAJOR) $(BUILD)/libclerktoken.a
UNIT_BINS := $(patsubst tests/unit/%.c,$(BUILD)/tests/unit/%,$(UNIT))
FUZZ_BINS := $(patsubst tests/fuzz/%.c,$(BUILD)/tests/fuzz/%,$(FUZZ))
BENCH_BINS := $(patsubst bench/%.c,$(BUILD)/bench/%,$(BENCH))
LOAD_BINS := $(patsubst tests/systemd/%.c,$(BUILD)/tests/systemd/%,$(LOAD))
ADAPTER_BINS := $(patsubst tests/conformance/adapters/%.c,$(BUILD)/tests/conformance/%,$(ADAPTERS))
NODE_MODULES := client/node/node_modules/.package-lock.json
STRESS_BINS := $(patsubst tests/stress/%.c,$(BUILD)/tests/stress/%,$(STRESS))
REPLAY_BIN := $(if $(REPLAY),$(BUILD)/tests/replay/replay)

.PHONY: all help deps deps-bench deps-ops check demo install uninstall asan ubsan fuzz lint bench dist deb clean
.DELETE_ON_ERROR:
.SECONDARY:

all: $(PROGRAMS) $(LIBRARIES)

help:
	@echo "make            build into $(BUILD)/"
	@echo "make deps       install the Debian packages that are missing"
	@echo "make demo       see it work"
	@echo "make check      build and run all tests"
	@echo "make check-frameworks  Next.js, Express and Remix with the daemon; installs them with npm"
	@echo "make check-contract CLERK_OPENAPI=FILE  by Clerk's OpenAPI document; needs npm"
	@echo "make deps-ops   what the tests of the metrics need: a Prometheus  (make deps-bench: what bench and scale need)"
	@echo "make asan       the tests under AddressSanitizer   (make ubsan: UBSan)"
	@echo "make stress     a million gets by threads and forks, through restarts of the daemon"
	@echo "make fuzz       the parsers under libFuzzer, for FUZZ_SECONDS each"
	@echo "make abi-baseline  what the library offers now becomes what it promises"
	@echo "make lint       layers, banned functions, sizes, layout"
	@echo "make bench      measure; the figures are explained in docs/PERFORMANCE.md"
	@echo "make bench-sdk  Clerk's SDK: the daemon's HTTP front against a server of Node's"
	@echo "make bench-node the Node.js package against HTTP; client/node/README.md has the figures"
	@echo "make scale      simulate a population of sessions; docs/SCALE.md explains it"
	@echo "make install    with DESTDIR and PREFIX; make uninstall undoes it"
	@echo "make dist       a source archive"
	@echo "make deb        Debian packages, into dist/"
	@echo "make clean      remove $(BUILD)/ and dist/"

# ---------------------------------------------------------------------------------- build

# `make V=1` shows the commands.
ifeq ($(V),)
say = @printf '  %-5s %s\n' $(1) $@;
endif

$(BUILD)/obj/%.o: %.c
	@mkdir -p $(@D)
	$(call say,CC) $(CC) $(CPPFLAGS_ALL) $(CFLAGS_ALL) $(LTO) $(HARDENING) -MMD -MP -c $< -o $@

$(BUILD)/pic/%.o: %.c
	@mkdir -p $(@D)
	$(call say,CC) $(CC) $(CPPFLAGS_ALL) $(CFLAGS_ALL) $(filter-out -fPIE,$(HARDENING)) -fPIC -fvisibility=hidden -MMD -MP -c $< -o $@

$(BUILD)/daemon.a: $(call obj,$(BASE) $(PROTO) $(CORE) $(SYS))
	$(call say,AR) rm -f $@ && $(AR_LTO) rcs $@ $^

$(BUILD)/clerk-tokend: $(call obj,$(DAEMON)) $(BUILD)/daemon.a
	$(call say,LINK) $(CC) $(filter-out -fno-lto,$(LDFLAGS_ALL)) $(OPT) $(LTO) -o $@ $^ $(LIBS_DAEMON)

$(BUILD)/clerk-bapi-sandbox: $(call obj,$(SANDBOX))
	$(call say,LINK) $(CC) $(LDFLAGS_ALL) -o $@ $^ $(LIBS_SANDBOX)

# All of the library in one object, whose only global names are the public ones.
$(BUILD)/libclerktoken.o: $(call pic,$(CLIENT) $(CLIENT_BASE))
	$(call say,LD) ld -r -o $@ $^ && objcopy --localize-hidden $@

$(BUILD)/libclerktoken.a: $(BUILD)/libclerktoken.o
	$(call say,AR) rm -f $@ && $(AR_LTO) rcs $@ $^

$(BUILD)/libclerktoken.so.$(SOMAJOR): $(BUILD)/libclerktoken.o client/libclerktoken.map
	$(call say,LINK) $(CC) $(filter-out -pie,$(LDFLAGS_ALL)) -shared -Wl,-soname,$(@F) \
		-Wl,--version-script=client/libclerktoken.map -o $@ $(BUILD)/libclerktoken.o
	@ln -sf $(@F) $(BUILD)/libclerktoken.so

$(BUILD)/clerk-token: $(call obj,$(CLI)) $(BUILD)/libclerktoken.a
	$(call say,LINK) $(CC) $(LDFLAGS_ALL) -o $@ $^

$(BUILD)/tests/unit/%: $(BUILD)/obj/tests/unit/%.o $(call obj,$(CLIENT)) $(BUILD)/daemon.a
	@mkdir -p $(@D)
	$(call say,LINK) $(CC) $(LDFLAGS_ALL) -o $@ $^ $(LIBS_TEST)

$(BUILD)/tests/replay/replay: $(call obj,$(REPLAY)) $(BUILD)/daemon.a
	@mkdir -p $(@D)
	$(call say,LINK) $(CC) $(LDFLAGS_ALL) -o $@ $^ $(LIBS_TEST)

# As programs of somebody else's: by the library alone.
$(LOAD_BINS) $(STRESS_BINS): $(BUILD)/%: $(BUILD)/obj/%.o $(BUILD)/libclerktoken.a
	@mkdir -p $(@D)
	$(call say,LINK) $(CC) $(LDFLAGS_ALL) -o $@ $^ -pthread

$(BUILD)/tests/conformance/%: $(BUILD)/obj/tests/conformance/adapters/%.o $(BUILD)/libclerktoken.a
	@mkdir -p $(@D)
	$(call say,LINK) $(CC) $(LDFLAGS_ALL) -o $@ $^
# The library and the program in one, under ThreadSanitizer.
$(BUILD)/tests/stress/%.tsan: tests/stress/%.c $(CLIENT) $(CLIENT_BASE) $(wildcard client/*.h base/*.h proto/*.h)
	@mkdir -p $(@D)
	$(call say,CC) $(CC) $(CPPFLAGS_ALL) -std=gnu17 -O1 -g $(WARNINGS) $(CFLAGS) -fsanitize=thread -o $@ $(filter %.c,$^) -pthread

$(BUILD)/tests/fuzz/%: $(BUILD)/obj/tests/fuzz/%.o $(BUILD)/obj/tests/fuzz/driver.o $(call obj,$(CLIENT)) $(BUILD)/daemon.a
	@mkdir -p $(@D)
	$(call say,LINK) $(CC) $(LDFLAGS_ALL) -o $@ $^ $(LIBS_TEST)

$(BUILD)/bench/%: $(BUILD)/obj/bench/%.o $(call obj,$(BENCH_LIB))
	@mkdir -p $(@D)
	$(call say,LINK) $(CC) $(LDFLAGS_ALL) -o $@ $^ -lcurl -lm

$(BUILD)/bench/library: $(BUILD)/libclerktoken.a

$(BUILD)/bench/core/%: $(BUILD)/obj/bench/core/%.o $(BUILD)/daemon.a
	@mkdir -p $(@D)
	$(call say,LINK) $(CC) $(LDFLAGS_ALL) -o $@ $^ $(LIBS_DAEMON)

$(BUILD)/bench/client/%: $(BUILD)/obj/bench/client/%.o $(BUILD)/obj/bench/bench.o $(BUILD)/libclerktoken.a
	@mkdir -p $(@D)
	$(call say,LINK) $(CC) $(LDFLAGS_ALL) -o $@ $^ -pthread

$(BUILD)/bench/scale/scale: $(call obj,$(SCALE)) $(BUILD)/daemon.a
	@mkdir -p $(@D)
	$(call say,LINK) $(CC) $(LDFLAGS_ALL) -o $@ $^ $(LIBS_DAEMON) -lm

-include $(shell find $(BUILD) -path $(BUILD)/deb -prune -o -type f -name '*.d' -print 2>/dev/null)

# ---------------------------------------------------------------------------------- tests

deps:
	@tests/deps $(DEPS_CHECK)

deps-bench:
	@tests/deps $(DEPS_BENCH)

deps-ops:
	@tests/deps $(DEPS_OPS)

# A second make, so that what `deps` has just installed is seen.
check: deps
	+@$(MAKE) --no-print-directory check-built

.PHONY: check-built
.PHONY: test-bins
test-bins: all $(UNIT_BINS) $(FUZZ_BINS) $(REPLAY_BIN) $(LOAD_BINS) $(ADAPTER_BINS) $(STRESS_BINS) $(STRESS_BINS:=.tsan)

# What the tests of the Node.js package use; without it, those that need it are skipped.
$(NODE_MODULES): client/node/package.json client/node/package-lock.json
	$(call say,NPM) cd client/node && { npm ci --loglevel=error --ignore-scripts --no-audit --no-fund --fetch-retries=1 >/dev/null && \
		touch node_modules/.package-lock.json || echo "npm has no packages for the tests of client/node"; }

check-built: test-bins $(NODE_MODULES)
	@BUILD=$(BUILD) CC="$(CC)" tests/run $(CHECK_ARGS)

# Next.js, Express, Remix and Clerk's SDKs, as npm has them. Skipped without Node.js or npm's registry.
.PHONY: check-frameworks
check-frameworks: all
	@BUILD=$(BUILD) tests/run frameworks

# What the daemon asks and answers, by Clerk's own OpenAPI document: make check-contract CLERK_OPENAPI=FILE.
.PHONY: check-contract
check-contract: all
	@BUILD=$(BUILD) CLERK_OPENAPI=$(CLERK_OPENAPI) tests/run contract

demo: deps
	+@$(MAKE) --no-print-directory all
	@BUILD=$(BUILD) tests/demo

asan:
	+@$(MAKE) --no-print-directory BUILD=build/asan SANITIZE=address check

ubsan:
	+@$(MAKE) --no-print-directory BUILD=build/ubsan SANITIZE=undefined check

lint:
	@BUILD=$(BUILD) CC="$(CC)" tests/run lint

# The library's users by the dozen, and the daemon restarted under them.
STRESS_GETS ?= 1000000
.PHONY: stress
stress: all $(STRESS_BINS) $(STRESS_BINS:=.tsan)
	@BUILD=$(BUILD) STRESS_GETS=$(STRESS_GETS) python3 tests/integ/test_stress.py -v

# What is in the library now becomes what programs may rely on; for a release, or what is new.
.PHONY: abi-baseline
abi-baseline: $(BUILD)/libclerktoken.so.$(SOMAJOR)
	@tests/deps abigail-tools
	tests/abi/abi dump $< > $(BUILD)/baseline.abi
	mv $(BUILD)/baseline.abi client/abi/libclerktoken.so.$(SOMAJOR).abi

FUZZ_SECONDS ?= 60
fuzz:
	@tests/fuzz/run $(FUZZ_SECONDS)

bench: deps-bench
	+@$(MAKE) --no-print-directory all bench-bins
	@BUILD=$(BUILD) bench/run $(BENCH_ARGS)

# Clerk's SDK at the daemon's address; needs Node.js and npm's registry.
.PHONY: bench-sdk
bench-sdk: all
	@BUILD=$(BUILD) bench/sdk.py $(BENCH_ARGS)

.PHONY: bench-node
bench-node: all $(NODE_MODULES)
	@BUILD=$(BUILD) node client/node/bench/bench.js $(BENCH_ARGS)

.PHONY: bench-bins
bench-bins: $(BENCH_BINS) $(BENCH_CLIENT) $(BUILD)/bench/core/entries

# Scenes that can be run alone: make scale SCENES="steady crowd".
SCENES ?= steady browsing mixed crowd stranger outage users watchers day
.PHONY: scale scale-scenes
scale: deps-bench
	+@$(MAKE) --no-print-directory scale-scenes
	gnuplot -e "from='$(BUILD)/scale'" bench/scale/plot.gp
	bench/scale/refresh docs/SCALE.md $(BUILD)/scale

scale-scenes: $(SCENES:%=$(BUILD)/scale/%.md)

$(BUILD)/scale/%.md: $(BUILD)/bench/scale/scale
	@mkdir -p $(@D)
	$(call say,SCALE) $< $* $(@D)

# -------------------------------------------------------------------------------- install

install: all
	install -d $(DESTDIR)$(SBINDIR) $(DESTDIR)$(BINDIR) $(DESTDIR)$(LIBDIR)/pkgconfig \
		$(DESTDIR)$(INCLUDEDIR) $(DESTDIR)$(UNITDIR) $(DESTDIR)$(CATALOGDIR) $(DESTDIR)$(SYSUSERSDIR) \
		$(DESTDIR)$(TMPFILESDIR) $(addprefix $(DESTDIR)$(MANDIR)/man,1 3 5 7 8)
	install -d $(addprefix $(DESTDIR),$(BASHDIR) $(ZSHDIR) $(FISHDIR))
	install -m 644 client/completions/clerk-token.bash $(DESTDIR)$(BASHDIR)/clerk-token
	install -m 644 client/completions/clerk-token.zsh $(DESTDIR)$(ZSHDIR)/_clerk-token
	install -m 644 client/completions/clerk-token.fish $(DESTDIR)$(FISHDIR)/
	install -m 755 $(BUILD)/clerk-tokend $(DESTDIR)$(SBINDIR)/
	install -m 755 $(BUILD)/clerk-token $(BUILD)/clerk-bapi-sandbox $(DESTDIR)$(BINDIR)/
	install -m 755 $(BUILD)/libclerktoken.so.$(SOMAJOR) $(DESTDIR)$(LIBDIR)/
	ln -sf libclerktoken.so.$(SOMAJOR) $(DESTDIR)$(LIBDIR)/libclerktoken.so
	install -m 644 $(BUILD)/libclerktoken.a $(DESTDIR)$(LIBDIR)/
	install -m 644 client/clerktoken.h $(DESTDIR)$(INCLUDEDIR)/
	sed -e 's|@PREFIX@|$(PREFIX)|' -e 's|@LIBDIR@|$(LIBDIR)|' -e 's|@INCLUDEDIR@|$(INCLUDEDIR)|' \
		-e 's|@VERSION@|$(VERSION)|' client/clerktoken.pc.in > $(DESTDIR)$(LIBDIR)/pkgconfig/clerktoken.pc
	chmod 644 $(DESTDIR)$(LIBDIR)/pkgconfig/clerktoken.pc
	for unit in $(UNITS); do \
		sed -e 's|@SBINDIR@|$(SBINDIR)|' $$unit > $(DESTDIR)$(UNITDIR)/$${unit##*/} && \
		chmod 644 $(DESTDIR)$(UNITDIR)/$${unit##*/} || exit 1; done
	install -m 644 systemd/clerk-tokend.catalog $(DESTDIR)$(CATALOGDIR)/
	install -m 644 systemd/clerk-tokend.sysusers $(DESTDIR)$(SYSUSERSDIR)/clerk-tokend.conf
	install -m 644 systemd/clerk-tokend.tmpfiles $(DESTDIR)$(TMPFILESDIR)/clerk-tokend.conf
	for page in $(MAN); do \
		install -m 644 $$page $(DESTDIR)$(MANDIR)/man$${page##*.}/ || exit 1; done

uninstall:
	rm -f $(DESTDIR)$(SBINDIR)/clerk-tokend $(DESTDIR)$(BINDIR)/clerk-token \
		$(DESTDIR)$(BINDIR)/clerk-bapi-sandbox $(DESTDIR)$(LIBDIR)/libclerktoken.so \
		$(DESTDIR)$(LIBDIR)/libclerktoken.so.$(SOMAJOR) $(DESTDIR)$(LIBDIR)/libclerktoken.a \
		$(DESTDIR)$(INCLUDEDIR)/clerktoken.h $(DESTDIR)$(LIBDIR)/pkgconfig/clerktoken.pc \
		$(patsubst systemd/%,$(DESTDIR)$(UNITDIR)/%,$(UNITS)) \
		$(DESTDIR)$(SYSUSERSDIR)/clerk-tokend.conf $(DESTDIR)$(TMPFILESDIR)/clerk-tokend.conf \
		$(DESTDIR)$(CATALOGDIR)/clerk-tokend.catalog \
		$(DESTDIR)$(BASHDIR)/clerk-token $(DESTDIR)$(ZSHDIR)/_clerk-token \
		$(DESTDIR)$(FISHDIR)/clerk-token.fish \
		$(foreach page,$(MAN),$(DESTDIR)$(MANDIR)/man$(subst .,,$(suffix $(page)))/$(notdir $(page)))

dist:
	mkdir -p dist
	git archive --prefix=clerk-tokend-$(VERSION)/ -o dist/clerk-tokend-$(VERSION).tar.gz HEAD

# Debian packages, into dist/.
.PHONY: deb
deb:
	@tests/deps $(DEPS_BUILD) debhelper lintian
	rm -rf $(BUILD)/deb && mkdir -p $(BUILD)/deb/clerk-tokend dist
	tar -c --exclude=./build --exclude=./dist --exclude=./.git --exclude=node_modules . | tar -x -C $(BUILD)/deb/clerk-tokend
	cd $(BUILD)/deb/clerk-tokend && env -u BUILD -u MAKEFLAGS dpkg-buildpackage -b -us -uc
	mv $(BUILD)/deb/*.deb $(BUILD)/deb/*.changes $(BUILD)/deb/*.buildinfo dist/
	lintian --allow-root --fail-on error,warning dist/clerk-tokend_$(VERSION)_*.changes

clean:
	rm -rf $(BUILD) dist
