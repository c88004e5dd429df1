/* module.c - see module.h. */
#include "server/module.h"

#include <dlfcn.h>
#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <link.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

#ifndef MFD_EXEC /* Linux 6.3: memfd_create(2) */
#define MFD_EXEC 0x0010U
#endif

/* A line about the module, behind its name; returns status. */
struct complaint {
    const struct pf__module *module;
    char *error;
    size_t len;
};

static int complain(const struct complaint *to, int status, const char *format, ...)
    PF_PRINTF(3, 4);
static int complain(const struct complaint *to, int status, const char *format, ...)
{
    char text[1024];
    va_list args;
    va_start(args, format);
    (void)vsnprintf(text, sizeof text, format, args); /* or cut */
    va_end(args);
    snprintf(to->error, to->len, "APP %s: %s", to->module->path, text);
    return status;
}

/* ---- its name -------------------------------------------------------------------- */

bool pf__module_is_meant(const char *word)
{
    const char *slash = strchr(word, '/');
    return slash && !memchr(word, ':', (size_t)(slash - word));
}

/* "path" or "path:symbol". False: too long. */
static bool take_name(struct pf__module *module, const char *word)
{
    const char *slash = strrchr(word, '/');
    const char *colon = slash ? strrchr(slash, ':') : NULL;
    const char *symbol = colon && colon[1] ? colon + 1 : PF__MODULE_SYMBOL;
    size_t len = colon ? (size_t)(colon - word) : strlen(word);
    if (len >= sizeof module->path || strlen(symbol) >= sizeof module->symbol)
        return false;
    memcpy(module->path, word, len);
    module->path[len] = '\0';
    memcpy(module->symbol, symbol, strlen(symbol) + 1);
    return true;
}

/* ---- its copy -------------------------------------------------------------------- */

/* Named in /proc/PID/maps, and so in backtraces. */
static int make_memory(const char *path)
{
    const char *name = strrchr(path, '/');
    char text[128];
    snprintf(text, sizeof text, "%.100s", name ? name + 1 : path);
    int fd = memfd_create(text, MFD_CLOEXEC | MFD_ALLOW_SEALING | MFD_EXEC);
    if (fd == -1 && errno == EINVAL)
        fd = memfd_create(text, MFD_CLOEXEC | MFD_ALLOW_SEALING);
    return fd;
}

/* A file without a name, where the kernel has no such memory for us. */
static int make_file(void)
{
    const char *directory = getenv("TMPDIR");
    char path[PATH_MAX];
    int n = snprintf(path, sizeof path, "%s/prefork-XXXXXX",
                     directory && *directory ? directory : "/tmp");
    int fd = n < (int)sizeof path ? mkostemp(path, O_CLOEXEC) : -1;
    if (fd != -1)
        unlink(path);
    return fd;
}

static int copy_all(int from, int to)
{
    ssize_t n;
    do
        n = sendfile(to, from, NULL, 1 << 20);
    while (n > 0 || (n == -1 && errno == EINTR));
    return n == 0 ? 0 : -errno;
}

static int copy(struct pf__module *module, int from)
{
    int fd = make_memory(module->path);
    if (fd == -1)
        fd = make_file();
    if (fd == -1)
        return -errno;
    int err = copy_all(from, fd);
    if (err) {
        close(fd);
        return err;
    }
    (void)fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE | F_SEAL_GROW | F_SEAL_SHRINK | F_SEAL_SEAL);
    module->fd = fd;
    return 0;
}

/* Not one that would wait for a writer, nor a directory. */
static int open_file(const char *path)
{
    struct stat st;
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    if (fd == -1)
        return -errno;
    if (fstat(fd, &st) == 0 && S_ISREG(st.st_mode))
        return fd;
    close(fd);
    return -EINVAL;
}

int pf__module_open(struct pf__module *module, int argc, char **argv, char *error,
                    size_t error_len)
{
    *module = (struct pf__module)PF__MODULE_NONE;
    module->argc = argc;
    module->argv = argv;
    const struct complaint to = {module, error, error_len};
    if (!take_name(module, argv[0]))
        return complain(&to, PF_EXIT_USAGE, "the name is too long");
    int from = open_file(module->path);
    if (from == -EINVAL)
        return complain(&to, PF_EXIT_USAGE, "not a file; name a shared object");
    if (from < 0)
        return complain(&to, PF_EXIT_USAGE, "%s; name a shared object", strerror(-from));
    int err = copy(module, from);
    close(from);
    if (err)
        return complain(&to, PF_EXIT_SOFTWARE, "cannot be copied: %s", strerror(-err));
    return PF_EXIT_OK;
}

void pf__module_close(struct pf__module *module)
{
    if (module->handle)
        (void)dlclose(module->handle); /* nothing of it is called any more */
    if (module->fd != -1)
        close(module->fd);
    *module = (struct pf__module)PF__MODULE_NONE;
}

/* ---- loading --------------------------------------------------------------------- */

/* What dlerror(3) says, without the name of the copy in front. */
static const char *why_not(const char *copy_name)
{
    const char *text = dlerror();
    size_t len = strlen(copy_name);
    if (!text)
        return "it cannot be loaded";
    return strncmp(text, copy_name, len) == 0 && text[len] == ':' ? text + len + 2 : text;
}

static const char *remedy(const char *copy_name, const char *why)
{
    if (access(copy_name, R_OK) != 0)
        return "/proc cannot be seen, use --preload";
    if (strstr(why, "undefined symbol"))
        return "link what defines it into the module";
    return "name a shared object, built with -shared -fPIC for this machine";
}

/* The symbol must be data, as large as it says that it is: a function, or what was compiled
 * with other headers, would be read as nonsense. dladdr1(3). */
static int check_symbol(const struct complaint *to, const void *at)
{
    const char *name = to->module->symbol;
    Dl_info info;
    void *extra = NULL;
    if (!dladdr1(at, &info, &extra, RTLD_DL_SYMENT) || !extra)
        return complain(to, PF_EXIT_CONFIG, "%s is not of this file", name);
    const ElfW(Sym) *symbol = extra;
    size_t size = 0;
    if (ELF64_ST_TYPE(symbol->st_info) == STT_OBJECT && symbol->st_size >= sizeof size)
        memcpy(&size, at, sizeof size);
    if (size == 0 || size > symbol->st_size)
        return complain(to, PF_EXIT_CONFIG,
                        "%s is no struct pf_app; begin its initialiser with PF_APP", name);
    return PF_EXIT_OK;
}

static int find_app(struct pf__module *module, const struct complaint *to)
{
    const void *at = dlsym(module->handle, module->symbol);
    if (!at)
        return complain(to, PF_EXIT_CONFIG,
                        "has no symbol %s; define a const struct pf_app of this name, or "
                        "name another as %s:SYMBOL",
                        module->symbol, module->path);
    char why[256];
    int status = check_symbol(to, at);
    if (status == PF_EXIT_OK && pf__app_take(at, &module->app, why, sizeof why) != 0)
        status = complain(to, PF_EXIT_CONFIG, "%s: %s", module->symbol, why);
    return status;
}

static int read_options(const struct pf__module *module, const struct complaint *to)
{
    static const struct pf_option none[] = {{0}};
    char why[PF_OPTION_ERROR_MAX];
    const struct pf_app *app = &module->app;
    bool has = app->options && app->config;
    int at = pf_options_parse(has ? app->options : none, has ? app->config : NULL,
                              module->argc, module->argv, why);
    if (at < 0)
        return complain(to, PF_EXIT_USAGE, "%s%s", why,
                        has ? "" : "; options of the server come before APP");
    if (at < module->argc)
        return complain(to, PF_EXIT_USAGE,
                        "%s: unexpected; only the application's options stand behind it",
                        module->argv[at]);
    return PF_EXIT_OK;
}

int pf__module_load(struct pf__module *module, char *error, size_t error_len)
{
    const struct complaint to = {module, error, error_len};
    if (module->handle)
        return PF_EXIT_OK;
    char name[64];
    snprintf(name, sizeof name, "/proc/self/fd/%d", module->fd);
    module->handle = dlopen(name, RTLD_NOW | RTLD_LOCAL);
    if (!module->handle) {
        const char *why = why_not(name);
        return complain(&to, PF_EXIT_CONFIG, "%s; %s", why, remedy(name, why));
    }
    int status = find_app(module, &to);
    if (status == PF_EXIT_OK)
        status = read_options(module, &to);
    if (status != PF_EXIT_OK) {
        (void)dlclose(module->handle);
        module->handle = NULL;
    }
    return status;
}

/* ---- looking at it in a child ---------------------------------------------------- */

/* What the child leaves behind, in memory that both have. */
struct finding {
    bool is_done;
    int status;
    struct pf__facts facts;
    char error[1536];
};

static void look(const struct pf__module *module, bool help, struct finding *finding)
{
    struct pf__module mine = *module;
    const struct complaint to = {module, finding->error, sizeof finding->error};
    char why[256];
    if (help)
        mine.argc = 1;
    finding->status = pf__module_load(&mine, finding->error, sizeof finding->error);
    if (finding->status == PF_EXIT_OK &&
        pf__app_facts(&mine.app, &finding->facts, why, sizeof why) != 0)
        finding->status = complain(&to, PF_EXIT_CONFIG, "%s: %s", module->symbol, why);
    if (finding->status == PF_EXIT_OK && help && mine.app.options) {
        printf("\nOptions of %s, behind it:\n", finding->facts.name);
        pf_options_help(mine.app.options, stdout);
        fflush(stdout);
    }
    finding->is_done = true;
}

/* SIGALRM ends this process then: a module's own code cannot be asked to return. */
static void limit_time(int64_t ns)
{
    struct itimerval limit = {.it_value = {ns / PF_SECOND, ns % PF_SECOND / 1000}};
    struct sigaction standard = {.sa_handler = SIG_DFL};
    sigset_t alarm_only;
    sigemptyset(&alarm_only);
    sigaddset(&alarm_only, SIGALRM);
    sigaction(SIGALRM, &standard, NULL);
    sigprocmask(SIG_UNBLOCK, &alarm_only, NULL);
    setitimer(ITIMER_REAL, &limit, NULL);
}

static int conclude(const struct finding *finding, int wait_status, struct pf__facts *facts,
                    const struct complaint *to)
{
    if (!finding->is_done && WIFSIGNALED(wait_status) && WTERMSIG(wait_status) == SIGALRM)
        return complain(to, PF_EXIT_CONFIG,
                        "was not loaded in time; see what it does before main(), or give "
                        "it more with --boot-timeout");
    if (!finding->is_done && WIFSIGNALED(wait_status))
        return complain(to, PF_EXIT_CONFIG, "ended by signal %d while it was loaded",
                        WTERMSIG(wait_status));
    if (!finding->is_done)
        return complain(to, PF_EXIT_CONFIG, "exited while it was loaded");
    if (finding->status == PF_EXIT_OK)
        *facts = finding->facts;
    else
        snprintf(to->error, to->len, "%s", finding->error);
    return finding->status;
}

int pf__module_probe(const struct pf__module *module, bool help, int64_t limit_ns,
                     struct pf__facts *facts, char *error, size_t error_len)
{
    const struct complaint to = {module, error, error_len};
    struct finding *finding = mmap(NULL, sizeof *finding, PROT_READ | PROT_WRITE,
                                   MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (finding == MAP_FAILED)
        return complain(&to, PF_EXIT_SOFTWARE, "%s", strerror(errno));
    fflush(NULL); /* or both write it */
    pid_t child = fork();
    if (child == 0) {
        limit_time(limit_ns);
        look(module, help, finding);
        _exit(0);
    }
    int wait_status = 0, status;
    while (child != -1 && waitpid(child, &wait_status, 0) == -1 && errno == EINTR)
        ;
    if (child == -1)
        status = complain(&to, PF_EXIT_SOFTWARE, "fork: %s", strerror(errno));
    else
        status = conclude(finding, wait_status, facts, &to);
    munmap(finding, sizeof *finding);
    return status;
}
