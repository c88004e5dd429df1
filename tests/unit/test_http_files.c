/*
 * Files below a directory, asked for over real sockets: which of them are there, what a
 * client is told of them, how much of them it gets, and what it costs when it goes away.
 */
#include "tests/lib/test.h"

#include "tests/lib/tree.h"

#include "http/files.h"
#include "http/server.h"
#include "http/text.h"

#include <prefork/log.h>

#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define MODIFIED 1234567890 /* when files of the tree were, if nothing else is said */
#define DATE     "Fri, 13 Feb 2009 23:31:30 GMT"
#define EARLIER  "Fri, 13 Feb 2009 23:31:29 GMT"
#define LATER    "Fri, 13 Feb 2009 23:31:31 GMT"
#define BIG      (3 * 1024 * 1024)

/* ---- an allocator that fails when told; the sanitizers have one of their own ----- */

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define OWN_ALLOCATOR 0
#elif defined(__has_feature)
#define OWN_ALLOCATOR                                                                      \
    (!__has_feature(address_sanitizer) && !__has_feature(thread_sanitizer))
#else
#define OWN_ALLOCATOR 1
#endif

static int allocations; /* so far */
static int fail_at;     /* the one that fails, from 1; 0: none */

#if OWN_ALLOCATOR
void *__libc_malloc(size_t size);
void *__libc_calloc(size_t count, size_t size);
void *__libc_realloc(void *old, size_t size);

static bool may_allocate(void)
{
    allocations++;
    if (allocations != fail_at)
        return true;
    errno = ENOMEM;
    return false;
}

void *malloc(size_t size)
{
    return may_allocate() ? __libc_malloc(size) : NULL;
}

void *calloc(size_t count, size_t size)
{
    return may_allocate() ? __libc_calloc(count, size) : NULL;
}

void *realloc(void *old, size_t size)
{
    return may_allocate() ? __libc_realloc(old, size) : NULL;
}
#endif

/* ---- a tree ---------------------------------------------------------------------- */

static void path_of(const char *name, char path[PATH_MAX])
{
    assert_true(snprintf(path, PATH_MAX, "%s/www/%s", pf_tree_root, name) < PATH_MAX);
}

static void touch(const char *name, time_t second)
{
    char path[PATH_MAX];
    const struct timespec times[2] = {{.tv_sec = second}, {.tv_sec = second}};
    path_of(name, path);
    assert_int_equal(utimensat(AT_FDCWD, path, times, 0), 0);
}

static void put(const char *name, const char *content)
{
    char inside[PATH_MAX];
    snprintf(inside, sizeof inside, "www/%s", name);
    pf_tree_put(inside, content);
    touch(name, MODIFIED);
}

static void link_to(const char *name, const char *target)
{
    char inside[PATH_MAX];
    snprintf(inside, sizeof inside, "www/%s", name);
    pf_tree_link(inside, target);
}

/* Byte i of a big file. */
static char big_byte(size_t i)
{
    return (char)('a' + i * 7 % 26 + i / 65536 % 5);
}

static void put_big(const char *name)
{
    char *content = malloc(BIG + 1);
    assert_non_null(content);
    for (size_t i = 0; i < BIG; i++)
        content[i] = big_byte(i);
    content[BIG] = '\0';
    put(name, content);
    free(content);
}

static void plant(void)
{
    put("a.txt", "0123456789");
    put("blob.bin", "blob");
    put("dir/index.html", "<p>dir");
    put("dir/b.html", "<p>b");
    put("bare/c.css", "c{}");
    put(".secret", "secret");
    put("dir/.secret/key", "key");
    put("empty.txt", "");
    pf_tree_put("outside.txt", "outside");
}

/* ---- a loop, a server, a client -------------------------------------------------- */

static pf_loop *loop;
static pf_http_server *server;
static pf_http_files *files;

/* The file that the query names. */
static int named(pf_http_request *request, void *arg)
{
    (void)arg;
    size_t len;
    char name[64] = "";
    const char *query = pf_http_get_query(request, &len);
    memcpy(name, query, len);
    assert_int_equal(pf_http_serve_file(request, NULL, name), -EINVAL);
    assert_int_equal(pf_http_serve_file(request, files, NULL), -EINVAL);
    assert_int_equal(pf_http_set_field(request, "X-Mine", "yes"), 0);
    return pf_http_serve_file(request, files, name);
}

static struct pf_http_route routes[] = {
    {.method = "GET", .path = "/{path...}", .handler = pf_http_files_handler},
    {.method = "GET", .path = "/mounted/{path...}", .handler = pf_http_files_handler},
    {.method = "GET", .path = "/named", .handler = named},
    {.method = "GET",
     .path = "/blocking/{path...}",
     .handler = pf_http_files_handler,
     .flags = PF_HTTP_BLOCKING},
    {.method = "GET", .path = "/a/b.html", .handler = pf_http_files_handler},
    {0}};

static void start_with(const struct pf_http_files_options *options)
{
    char root[PATH_MAX];
    path_of("", root);
    assert_int_equal(pf_http_files_new(root, options, &files), 0);
    for (size_t i = 0; routes[i].path; i++)
        routes[i].arg = files;
    assert_int_equal(pf_loop_new(NULL, &loop), 0);
    struct pf_http_server_options http = {.routes = routes, .threads = 1};
    assert_int_equal(pf_http_server_new(loop, &http, &server), 0);
}

static void start(void)
{
    plant();
    start_with(NULL);
}

static void stop(void)
{
    pf_http_server_free(server);
    assert_int_equal(pf_loop_close(loop, false), 0);
    pf_loop_unref(loop);
    pf_http_files_free(files);
}

static void turn(void)
{
    while (pf_loop_turn(loop, 0) > 0)
        ;
}

static int connect_client(void)
{
    int pair[2];
    assert_int_equal(
        socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, pair), 0);
    assert_int_equal(pf_http_server_adopt(server, pair[0], NULL), 0);
    return pair[1];
}

static int ask(const char *method, const char *path, const char *fields)
{
    char text[16384];
    int client = connect_client();
    int len = snprintf(text, sizeof text,
                       "%s %s HTTP/1.1\r\nHost: a\r\nConnection: close\r\n%s\r\n", method,
                       path, fields);
    assert_true(len > 0 && (size_t)len < sizeof text);
    assert_int_equal(send(client, text, (size_t)len, MSG_NOSIGNAL), len);
    return client;
}

static char heard[BIG + 65536];
static struct {
    int status;
    char head[4096];
    const char *body;
    size_t len;
} answer;

/* All of it, to the connection's end. */
static size_t hear(int client)
{
    size_t len = 0;
    time_t deadline = time(NULL) + PF_TEST_DEADLINE_S;
    for (;;) {
        ssize_t n = recv(client, heard + len, sizeof heard - 1 - len, 0);
        if (n == 0 || (n == -1 && errno != EAGAIN))
            break;
        len += n > 0 ? (size_t)n : 0;
        assert_true(time(NULL) < deadline);
        pf_loop_turn(loop, n > 0 ? 0 : PF_MILLISECOND);
    }
    close(client);
    turn();
    heard[len] = '\0';
    return len;
}

static void take(int client)
{
    size_t len = hear(client);
    char *end = strstr(heard, "\r\n\r\n");
    assert_non_null(end);
    size_t head_len = (size_t)(end + 4 - heard);
    assert_true(head_len < sizeof answer.head);
    memcpy(answer.head, heard, head_len);
    answer.head[head_len] = '\0';
    answer.body = heard + head_len;
    answer.len = len - head_len;
    assert_memory_equal(answer.head, "HTTP/1.1 ", 9);
    answer.status = atoi(answer.head + 9);
}

static int get_with(const char *path, const char *fields)
{
    take(ask("GET", path, fields));
    return answer.status;
}

static int get(const char *path)
{
    return get_with(path, "");
}

static bool has(const char *line)
{
    char text[512];
    snprintf(text, sizeof text, "\r\n%s\r\n", line);
    return strstr(answer.head, text) != NULL;
}

static bool has_field(const char *name)
{
    char text[128];
    snprintf(text, sizeof text, "\r\n%s: ", name);
    return strstr(answer.head, text) != NULL;
}

static const char *value_of(const char *name, char value[256])
{
    char text[128];
    snprintf(text, sizeof text, "\r\n%s: ", name);
    const char *at = strstr(answer.head, text);
    assert_non_null(at);
    at += strlen(text);
    size_t len = strcspn(at, "\r");
    assert_true(len < 256);
    memcpy(value, at, len);
    value[len] = '\0';
    return value;
}

static size_t content_length(void)
{
    char value[256];
    return strtoul(value_of("Content-Length", value), NULL, 10);
}

static void assert_body(const char *text)
{
    assert_int_equal(answer.len, strlen(text));
    assert_memory_equal(answer.body, text, answer.len);
}

/* ---- what is sent ---------------------------------------------------------------- */

static void a_file_is_sent_with_its_type_its_length_and_its_validators(void **state)
{
    (void)state;
    char tag[256], expected[64];
    start();
    assert_int_equal(get("/a.txt"), 200);
    assert_body("0123456789");
    assert_true(has("Content-Type: text/plain; charset=utf-8"));
    assert_true(has("Content-Length: 10"));
    assert_true(has("Last-Modified: " DATE));
    assert_true(has("Accept-Ranges: bytes"));
    assert_true(has("Vary: Accept-Encoding"));
    assert_false(has_field("Cache-Control"));
    assert_false(has_field("Content-Encoding"));
    int len = snprintf(expected, sizeof expected, "\"a-%jx-",
                       (uintmax_t)MODIFIED * (uintmax_t)PF_SECOND);
    assert_memory_equal(value_of("ETag", tag), expected, (size_t)len);
    assert_int_equal(get("/blob.bin"), 200);
    assert_body("blob");
    assert_true(has("Content-Type: application/octet-stream"));
    assert_false(has_field("Vary"));
    assert_int_equal(get("/empty.txt"), 200);
    assert_true(has("Content-Length: 0"));
    assert_body("");
    stop();
}

static void a_big_file_comes_whole(void **state)
{
    (void)state;
    put_big("big.bin");
    start();
    assert_int_equal(get("/big.bin"), 200);
    assert_int_equal(answer.len, BIG);
    for (size_t i = 0; i < BIG; i++)
        if (answer.body[i] != big_byte(i))
            fail_msg("byte %zu is wrong", i);
    stop();
}

static void head_gets_the_head_of_get(void **state)
{
    (void)state;
    static const char *const paths[] = {"/a.txt", "/dir/",  "/dir",
                                        "/none",  "/bare/", "/.secret"};
    const struct pf_http_files_options options = {PF_HTTP_FILES_OPTIONS, .listing = true};
    plant();
    start_with(&options);
    for (size_t i = 0; i < sizeof paths / sizeof *paths; i++) {
        char head[sizeof answer.head];
        (void)get(paths[i]);
        memcpy(head, answer.head, sizeof head);
        take(ask("HEAD", paths[i], ""));
        memset(strstr(head, "Date: "), '#', 35);
        memset(strstr(answer.head, "Date: "), '#', 35);
        assert_string_equal(answer.head, head);
        assert_int_equal(answer.len, 0);
    }
    take(ask("HEAD", "/a.txt", "Range: bytes=0-1\r\n")); /* ranges are GET's alone */
    assert_int_equal(answer.status, 200);
    assert_true(has("Content-Length: 10"));
    stop();
}

static void other_methods_are_told_which_there_are(void **state)
{
    (void)state;
    start();
    take(ask("DELETE", "/a.txt", ""));
    assert_int_equal(answer.status, 405);
    assert_true(has("Allow: GET, HEAD, OPTIONS"));
    stop();
}

static void cache_control_is_sent_as_configured(void **state)
{
    (void)state;
    char text[256], match[300];
    const struct pf_http_files_options options = {PF_HTTP_FILES_OPTIONS,
                                                  .cache_control = "max-age=60"};
    plant();
    start_with(&options);
    assert_int_equal(get("/a.txt"), 200);
    assert_true(has("Cache-Control: max-age=60"));
    snprintf(match, sizeof match, "If-None-Match: %s\r\n", value_of("ETag", text));
    assert_int_equal(get_with("/a.txt", match), 304);
    assert_true(has("Cache-Control: max-age=60"));
    assert_int_equal(get("/none"), 404);
    assert_false(has_field("Cache-Control"));
    assert_int_equal(get_with("/a.txt", "Range: bytes=99-\r\n"), 416);
    assert_false(has_field("Cache-Control"));
    stop();
}

/* ---- which files are there ------------------------------------------------------- */

static void names_that_lead_elsewhere_or_to_no_file_are_not_there(void **state)
{
    (void)state;
    static const struct {
        const char *path;
        int status;
    } rows[] = {
        {"/none", 404},
        {"/dir/none", 404},
        {"/a.txt/", 404},
        {"/a.txt/x", 404},
        {"/../outside.txt", 404},
        {"/dir/../../outside.txt", 404},
        {"/dir/../a.txt", 404},
        {"/%2e%2e/outside.txt", 404},
        {"/%2E./outside.txt", 404},
        {"/%252e%252e/outside.txt", 404},
        {"/..%2foutside.txt", 404},
        {"/..%5coutside.txt", 404},
        {"/dir%2fb.html", 404},
        {"/dir%5cb.html", 404},
        {"//a.txt", 404},
        {"/dir//b.html", 404},
        {"//etc/passwd", 404},
        {"/%c0%ae%c0%ae/outside.txt", 404},
        {"/a.txt%00", 404},
        {"/./a.txt", 404},
        {"/fifo", 404},
        {"/socket", 404},
        {"/out", 404},
        {"/etc/passwd", 404},
        {"/up/outside.txt", 404},
        {"/loop", 404},
        {"/magic/a.txt", 404},
        {"/bare/", 404},
        {"/.secret", 403},
        {"/.none", 403},
        {"/%2esecret", 403},
        {"/dir/.secret/key", 403},
        {"/dir/.secret/", 403},
    };
    char path[PATH_MAX], long_path[PATH_MAX + 512];
    start();
    path_of("fifo", path);
    assert_int_equal(mkfifo(path, 0600), 0);
    path_of("socket", path);
    assert_int_equal(mknod(path, S_IFSOCK | 0600, 0), 0);
    link_to("out", "/etc/passwd");
    link_to("etc", "/etc");
    link_to("up", "..");
    link_to("loop", "loop");
    link_to("magic", "/proc/self/cwd");
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        if (get(rows[i].path) != rows[i].status || strstr(answer.body, "outside"))
            fail_msg("%s: %d", rows[i].path, answer.status);
    memset(long_path, 'x', sizeof long_path);
    long_path[0] = '/';
    long_path[300] = '\0'; /* more than a name may have */
    assert_int_equal(get(long_path), 404);
    long_path[300] = 'x';
    long_path[sizeof long_path - 1] = '\0'; /* more than a path may have */
    assert_int_equal(get(long_path), 404);
    stop();
}

static void links_that_stay_below_the_root_are_followed(void **state)
{
    (void)state;
    pf_test_skip_under_valgrind(); /* which does not know openat2(2) */
    start();
    link_to("in.txt", "a.txt");
    link_to("dir/back.txt", "../a.txt");
    link_to("there", "dir");
    assert_int_equal(get("/in.txt"), 200);
    assert_body("0123456789");
    assert_int_equal(get("/dir/back.txt"), 200);
    assert_body("0123456789");
    assert_int_equal(get("/there/"), 200);
    assert_body("<p>dir");
    assert_int_equal(get("/there"), 301);
    stop();
}

static void escapes_in_names_are_decoded_once(void **state)
{
    (void)state;
    start();
    put("50%25 a+b.txt", "twice");
    put("50% a+b.txt", "once");
    put("\xc3\xa9.txt", "e");
    assert_int_equal(get("/50%25%20a+b.txt"), 200);
    assert_body("once");
    assert_int_equal(get("/%c3%a9.txt?query"), 200);
    assert_body("e");
    stop();
}

/* From now on openat2(2) fails so. */
static void forbid_openat2(int err)
{
    struct sock_filter filter[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_openat2, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | (unsigned)err),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    struct sock_fprog program = {.len = sizeof filter / sizeof *filter, .filter = filter};
    assert_int_equal(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), 0);
    assert_int_equal(prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program), 0);
}

static void serve_without_openat2(void *arg)
{
    const int *err = arg;
    static const struct {
        const char *path;
        int status;
    } rows[] = {{"/a.txt", 200},     {"/dir/b.html", 200},
                {"/dir/", 200},      {"/dir", 301},
                {"/", 404},          {"/in.txt", 404},
                {"/out", 404},       {"/there/b.html", 404},
                {"/there/", 404},    {"/there", 404},
                {"/none", 404},      {"/a.txt/", 404},
                {"/a.txt/b", 404},   {"/none/b", 404},
                {"/fifo", 404},      {"/named?dir//b.html", 404},
                {"/bare/c.css", 200}};
    char path[PATH_MAX];
    link_to("in.txt", "a.txt");
    link_to("there", "dir");
    link_to("out", "/etc/passwd");
    path_of("fifo", path);
    assert_int_equal(mkfifo(path, 0600), 0);
    start();
    forbid_openat2(*err);
    int root = open("/", O_PATH | O_CLOEXEC);
    assert_int_equal(pf__beneath_open(root, "usr/../etc"), -EXDEV);
    assert_int_equal(pf__beneath_open(root, "/etc"), -EXDEV);
    close(root);
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        if (get(rows[i].path) != rows[i].status)
            fail_msg("%s: %d", rows[i].path, answer.status);
    char name[600];
    memset(name, 'x', sizeof name);
    name[0] = '/', name[300] = '/', name[599] = '\0';
    assert_int_equal(get(name), 404);
    unlink(path);
    stop();
}

static void without_openat2_no_link_is_followed(void **state)
{
    (void)state;
    pf_test_skip_under_valgrind();
    int err = ENOSYS;
    pf_test_in_child(serve_without_openat2, &err);
}

static void where_openat2_is_forbidden_no_link_is_followed(void **state)
{
    (void)state;
    pf_test_skip_under_valgrind();
    int err = EPERM;
    pf_test_in_child(serve_without_openat2, &err);
}

static void without_descriptors_a_file_is_unavailable(void **state)
{
    (void)state;
    struct rlimit limit, none;
    start();
    int client = ask("GET", "/a.txt", "");
    turn();
    take(client);
    client = ask("GET", "/a.txt", "");
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &limit), 0);
    none = limit;
    none.rlim_cur = (rlim_t)client + 1; /* all below it are in use, or */
    int fill[64], count = 0;
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
    while (count < 64 && (fill[count] = fcntl(client, F_DUPFD_CLOEXEC, 0)) >= 0)
        count++;
    turn();
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
    while (count > 0)
        close(fill[--count]);
    take(client);
    assert_int_equal(answer.status, 503);
    stop();
}

/* As a user who may read only what all may. */
static void serve_what_may_not_be_read(void *arg)
{
    (void)arg;
    char path[PATH_MAX];
    start();
    path_of("", path);
    assert_int_equal(chmod(path, 0755), 0);
    path_of("a.txt", path);
    assert_int_equal(chmod(path, 0644), 0);
    path_of("blob.bin", path);
    assert_int_equal(chmod(path, 0), 0);
    if (geteuid() == 0)
        assert_int_equal(seteuid(65534), 0);
    assert_int_equal(get("/a.txt"), 200);
    assert_int_equal(get("/blob.bin"), 403);
    stop();
}

static void what_may_not_be_read_is_forbidden(void **state)
{
    (void)state;
    pf_test_in_child(serve_what_may_not_be_read, NULL);
}

/* ---- directories ----------------------------------------------------------------- */

static void a_directory_is_asked_for_with_a_slash(void **state)
{
    (void)state;
    static const char *const rows[][2] = {
        {"/dir", "/dir/"},
        {"/dir?a=b&c", "/dir/?a=b&c"},
        {"/mounted/dir", "/mounted/dir/"},
        {"/%64ir", "/%64ir/"},
    };
    char location[256];
    start();
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        assert_int_equal(get(rows[i][0]), 301);
        assert_string_equal(value_of("Location", location), rows[i][1]);
    }
    stop();
}

static void a_directory_is_its_index(void **state)
{
    (void)state;
    char tag[256], tag_of_file[256];
    start();
    assert_int_equal(get("/dir/"), 200);
    assert_body("<p>dir");
    assert_true(has("Content-Type: text/html; charset=utf-8"));
    value_of("ETag", tag);
    assert_int_equal(get("/dir/index.html"), 200);
    assert_string_equal(value_of("ETag", tag_of_file), tag);
    assert_int_equal(get("/mounted/dir/"), 200);
    assert_body("<p>dir");
    assert_int_equal(get("/"), 404);
    put("index.html", "<p>root");
    assert_int_equal(get("/"), 200);
    assert_body("<p>root");
    put("bare/index.html/x", "a directory of that name");
    assert_int_equal(get("/bare/"), 404);
    stop();
}

static void the_index_may_have_another_name_or_none(void **state)
{
    (void)state;
    struct pf_http_files_options options = {PF_HTTP_FILES_OPTIONS, .index = "b.html"};
    plant();
    start_with(&options);
    assert_int_equal(get("/dir/"), 200);
    assert_body("<p>b");
    stop();
    options.index = "";
    start_with(&options);
    assert_int_equal(get("/dir/"), 404);
    assert_int_equal(get("/dir/index.html"), 200);
    stop();
}

static void a_listing_has_each_name_in_order_and_escaped(void **state)
{
    (void)state;
    const struct pf_http_files_options options = {PF_HTTP_FILES_OPTIONS, .listing = true};
    plant();
    put("bare/<b>&\"'.txt", "x");
    put("bare/javascript:x", "x");
    put("bare/sub/x", "x");
    put("bare/.hidden", "x");
    put("bare/back\\slash", "x");
    put("bare/\xff.txt", "x");
    put("bare/\xc3\xa9", "x");
    start_with(&options);
    assert_int_equal(get("/bare/"), 200);
    assert_true(has("Content-Type: text/html; charset=utf-8"));
    assert_body("<!DOCTYPE html>\n<html lang=\"en\">\n<meta charset=\"utf-8\">\n"
                "<title>Index of /bare/</title>\n<h1>Index of /bare/</h1>\n<ul>\n"
                "<li><a href=\"../\">../</a>\n"
                "<li><a href=\"%3Cb%3E%26%22%27.txt\">&lt;b&gt;&amp;&quot;&#39;.txt</a>\n"
                "<li><a href=\"c.css\">c.css</a>\n"
                "<li><a href=\"javascript%3Ax\">javascript:x</a>\n"
                "<li><a href=\"sub/\">sub/</a>\n"
                "<li><a href=\"%C3%A9\">\xc3\xa9</a>\n"
                "</ul>\n");
    assert_int_equal(get("/bare/%3Cb%3E%26%22%27.txt"), 200);
    assert_int_equal(get("/"), 200);
    assert_null(strstr(answer.body, "../"));
    assert_null(strstr(answer.body, "secret"));
    assert_int_equal(get("/dir/"), 200);
    assert_body("<p>dir");
    assert_int_equal(get("/dir/.secret/"), 403);
    stop();
}

static void a_listing_that_would_be_too_long_says_so(void **state)
{
    (void)state;
    const struct pf_http_files_options options = {PF_HTTP_FILES_OPTIONS, .listing = true};
    plant();
    for (int i = 0; i < 700; i++) {
        char name[300];
        int n = snprintf(name, sizeof name, "many/%03d-", i);
        memset(name + n, '\'', 240);
        name[n + 240] = '\0';
        put(name, "");
    }
    start_with(&options);
    assert_int_equal(get("/many/"), 200);
    assert_true(answer.len > PF_HTTP_RESPONSE_BODY_MAX - 8192);
    assert_true(answer.len <= PF_HTTP_RESPONSE_BODY_MAX);
    const char *end = "</ul>\n<p>There are more.\n";
    assert_string_equal(answer.body + answer.len - strlen(end), end);
    stop();
}

/* ---- conditions ------------------------------------------------------------------ */

/* In fields, T is the file's tag. */
static const char *with_tag(const char *fields, const char *tag, char text[1024])
{
    char *to = text;
    for (; *fields; fields++)
        if (*fields == '@')
            to = stpcpy(to, tag);
        else
            *to++ = *fields;
    *to = '\0';
    return text;
}

static void conditions_are_looked_at_in_the_order_of_the_rfc(void **state)
{
    (void)state;
    static const struct {
        const char *fields; /* @ stands for the tag */
        int status;
    } rows[] = {
        {"If-Match: @\r\n", 200},
        {"If-Match: *\r\n", 200},
        {"If-Match: \"x\"\r\n", 412},
        {"If-Match: W/@\r\n", 412},
        {"If-Match: \"x\"\r\nIf-Match: \"a,b\", @\r\n", 200},
        {"If-Unmodified-Since: " DATE "\r\n", 200},
        {"If-Unmodified-Since: " EARLIER "\r\n", 412},
        {"If-Unmodified-Since: yesterday\r\n", 200},
        {"If-Match: @\r\nIf-Unmodified-Since: " EARLIER "\r\n", 200},
        {"If-None-Match: @\r\n", 304},
        {"If-None-Match: W/@\r\n", 304},
        {"If-None-Match: *\r\n", 304},
        {"If-None-Match: \"x\", \"y\"\r\n", 200},
        {"If-None-Match: \"x\"\r\nIf-None-Match: @\r\n", 304},
        {"If-Modified-Since: " DATE "\r\n", 304},
        {"If-Modified-Since: " LATER "\r\n", 304},
        {"If-Modified-Since: " EARLIER "\r\n", 200},
        {"If-Modified-Since: Fri Feb 13 23:31:30 2009\r\n", 304},
        {"If-Modified-Since: yesterday\r\n", 200},
        {"If-None-Match: \"x\"\r\nIf-Modified-Since: " DATE "\r\n", 200},
        {"If-Match: \"x\"\r\nIf-None-Match: @\r\n", 412},
        {"If-Match: @\r\nIf-None-Match: @\r\n", 304},
        {"If-None-Match: @\r\nRange: bytes=0-1\r\n", 304},
        {"If-Match: \"x\"\r\nRange: bytes=0-1\r\n", 412},
        {"If-Match: @\r\nRange: bytes=99-\r\n", 416},
    };
    char tag[256], fields[1024];
    start();
    assert_int_equal(get("/a.txt"), 200);
    value_of("ETag", tag);
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        if (get_with("/a.txt", with_tag(rows[i].fields, tag, fields)) != rows[i].status)
            fail_msg("%s: %d", rows[i].fields, answer.status);
    take(ask("HEAD", "/a.txt", with_tag("If-None-Match: @\r\n", tag, fields)));
    assert_int_equal(answer.status, 304);
    stop();
}

static void a_304_says_what_caches_need_and_no_more(void **state)
{
    (void)state;
    start();
    assert_int_equal(get_with("/a.txt", "If-None-Match: *\r\n"), 304);
    assert_true(has_field("ETag"));
    assert_true(has_field("Date"));
    assert_true(has("Vary: Accept-Encoding"));
    assert_false(has_field("Content-Type"));
    assert_false(has_field("Content-Length"));
    assert_false(has_field("Content-Encoding"));
    assert_int_equal(answer.len, 0);
    stop();
}

static void a_tag_changes_with_size_time_and_file(void **state)
{
    (void)state;
    char tag[256], other[256], from[PATH_MAX], to[PATH_MAX];
    start();
    (void)get("/a.txt");
    value_of("ETag", tag);
    touch("a.txt", MODIFIED + 1);
    (void)get("/a.txt");
    assert_string_not_equal(value_of("ETag", other), tag);
    put("a.txt", "0123456789x");
    (void)get("/a.txt");
    assert_string_not_equal(value_of("ETag", other), tag);
    put("new.txt", "9876543210");
    path_of("new.txt", from);
    path_of("a.txt", to);
    assert_int_equal(rename(from, to), 0);
    (void)get("/a.txt");
    assert_string_not_equal(value_of("ETag", other), tag);
    stop();
}

/* A date in the future stands for one that is less than a second old: so the test need not
 * be fast. */
static void a_file_that_may_still_change_has_a_weak_tag(void **state)
{
    (void)state;
    char tag[256], date[256], modified[256], fields[1024];
    start();
    touch("a.txt", time(NULL) + 100000);
    assert_int_equal(get("/a.txt"), 200);
    assert_memory_equal(value_of("ETag", tag), "W/\"", 3);
    assert_string_equal(value_of("Last-Modified", modified), value_of("Date", date));
    assert_int_equal(get_with("/a.txt", with_tag("If-None-Match: @\r\n", tag, fields)),
                     304);
    assert_int_equal(get_with("/a.txt", with_tag("If-Match: @\r\n", tag, fields)), 412);
    assert_int_equal(
        get_with("/a.txt", with_tag("Range: bytes=0-1\r\nIf-Range: @\r\n", tag, fields)),
        200);
    assert_int_equal(get_with("/a.txt", "Range: bytes=0-1\r\n"), 206);
    touch("a.txt", time(NULL) - 2);
    assert_int_equal(get("/a.txt"), 200);
    assert_memory_equal(value_of("ETag", tag), "\"", 1);
    stop();
}

/* ---- ranges ---------------------------------------------------------------------- */

static void one_range_is_sent_alone(void **state)
{
    (void)state;
    static const struct {
        const char *range;
        int status;
        const char *content_range, *body;
    } rows[] = {
        {"bytes=0-0", 206, "bytes 0-0/10", "0"},
        {"BYTES=2-4", 206, "bytes 2-4/10", "234"},
        {"bytes=7-", 206, "bytes 7-9/10", "789"},
        {"bytes=-2", 206, "bytes 8-9/10", "89"},
        {"bytes=-99", 206, "bytes 0-9/10", "0123456789"},
        {"bytes=8-99999999999999999999999", 206, "bytes 8-9/10", "89"},
        {"bytes=10-", 416, "bytes */10", NULL},
        {"bytes=99-100,200-", 416, "bytes */10", NULL},
        {"bytes=1-2,50-", 206, "bytes 1-2/10", "12"},
        {"bytes=4-2", 200, NULL, "0123456789"},
        {"lines=1-2", 200, NULL, "0123456789"},
        {"bytes=x", 200, NULL, "0123456789"},
        {"bytes=0-4,2-6", 200, NULL, "0123456789"},
        {"bytes=0-,0-,0-,0-,0-", 200, NULL, "0123456789"},
        {"bytes=0-0,1-1,2-2,3-3,4-4,5-5,6-6,7-7,8-8", 200, NULL, "0123456789"},
        {"bytes=0-0\r\nRange: bytes=1-1", 200, NULL, "0123456789"},
    };
    char fields[256], range[256];
    start();
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        snprintf(fields, sizeof fields, "Range: %s\r\n", rows[i].range);
        if (get_with("/a.txt", fields) != rows[i].status)
            fail_msg("%s: %d", rows[i].range, answer.status);
        if (rows[i].content_range)
            assert_string_equal(value_of("Content-Range", range), rows[i].content_range);
        else
            assert_false(has_field("Content-Range"));
        if (rows[i].body)
            assert_body(rows[i].body);
    }
    assert_int_equal(get_with("/a.txt", "Range: bytes=1-2\r\n"), 206);
    assert_true(has("Content-Type: text/plain; charset=utf-8"));
    assert_true(has("Last-Modified: " DATE));
    assert_true(has_field("ETag"));
    stop();
}

/* What ends the type of several ranges. */
static void take_boundary(char boundary[PF_HTTP_SECRET_MIN])
{
    static const char type[] = "multipart/byteranges; boundary=";
    char value[256];
    value_of("Content-Type", value);
    assert_int_equal(strlen(value), sizeof type - 1 + PF_HTTP_SECRET_MIN - 1);
    assert_memory_equal(value, type, sizeof type - 1);
    memcpy(boundary, value + sizeof type - 1, PF_HTTP_SECRET_MIN);
}

static void several_ranges_are_parts_in_the_order_asked(void **state)
{
    (void)state;
    char expected[1024], boundary[PF_HTTP_SECRET_MIN], other[PF_HTTP_SECRET_MIN];
    start();
    assert_int_equal(get_with("/a.txt", "Range: bytes=8-, 0-1,-11\r\n"), 200);
    assert_int_equal(get_with("/a.txt", "Range: bytes=8-, 0-1, 4-4\r\n"), 206);
    take_boundary(boundary);
    snprintf(expected, sizeof expected,
             "--%s\r\nContent-Type: text/plain; charset=utf-8\r\n"
             "Content-Range: bytes 8-9/10\r\n\r\n89\r\n"
             "--%s\r\nContent-Type: text/plain; charset=utf-8\r\n"
             "Content-Range: bytes 0-1/10\r\n\r\n01\r\n"
             "--%s\r\nContent-Type: text/plain; charset=utf-8\r\n"
             "Content-Range: bytes 4-4/10\r\n\r\n4\r\n--%s--\r\n",
             boundary, boundary, boundary, boundary);
    assert_body(expected);
    assert_false(has_field("Content-Range"));
    assert_int_equal(content_length(), answer.len);
    assert_int_equal(get_with("/a.txt", "Range: bytes=0-1,3-4\r\n"), 206);
    take_boundary(other);
    assert_string_not_equal(other, boundary);
    stop();
}

static void many_big_parts_come_whole(void **state)
{
    (void)state;
    static const size_t ranges[][2] = {
        {BIG - 1048576, BIG - 1}, {0, 999999}, {1000000, 1999999}};
    start();
    put_big("big.bin");
    assert_int_equal(
        get_with("/big.bin", "Range: bytes=-1048576,0-999999,1000000-1999999\r\n"), 206);
    assert_int_equal(content_length(), answer.len);
    const char *at = answer.body;
    for (size_t i = 0; i < 3; i++) {
        at = strstr(at, "\r\n\r\n") + 4;
        for (size_t j = ranges[i][0]; j <= ranges[i][1]; j++)
            if (*at++ != big_byte(j))
                fail_msg("part %zu, byte %zu is wrong", i, j);
        assert_memory_equal(at, "\r\n--", 4);
    }
    stop();
}

/* The fixture counts descriptors, the sanitizer what is allocated. */
static void a_client_that_goes_amid_parts_leaves_nothing(void **state)
{
    (void)state;
    const char *fields = "Range: bytes=0-999999,1000000-1999999\r\n";
    start();
    put_big("big.bin");
    int client = ask("GET", "/big.bin", fields);
    turn();
    close(client);
    turn();
    assert_int_equal(pf_http_server_connections(server), 0);
    client = ask("GET", "/big.bin", fields); /* one that still reads */
    turn();
    assert_int_equal(shutdown(client, SHUT_WR), 0);
    turn();
    take(client);
    assert_int_equal(answer.status, 206);
    assert_int_equal(content_length(), answer.len);
    client = ask("GET", "/big.bin", fields); /* and the server goes */
    turn();
    stop();
    close(client);
}

static void if_range_must_name_what_is_there(void **state)
{
    (void)state;
    static const struct {
        const char *fields;
        int status;
    } rows[] = {
        {"If-Range: @\r\n", 206},         {"If-Range: W/@\r\n", 200},
        {"If-Range: \"x\"\r\n", 200},     {"If-Range: " DATE "\r\n", 206},
        {"If-Range: " LATER "\r\n", 200}, {"If-Range: " EARLIER "\r\n", 200},
        {"If-Range: yesterday\r\n", 200}, {"If-Range: @\r\nIf-Range: \"x\"\r\n", 200},
    };
    char tag[256], fields[1024];
    start();
    (void)get("/a.txt");
    value_of("ETag", tag);
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        char text[256];
        snprintf(text, sizeof text, "Range: bytes=1-1\r\n%s", rows[i].fields);
        with_tag(text, tag, fields);
        if (get_with("/a.txt", fields) != rows[i].status)
            fail_msg("%s: %d", rows[i].fields, answer.status);
    }
    stop();
}

static void a_file_that_becomes_shorter_cuts_the_connection(void **state)
{
    (void)state;
    static const char *const rows[] = {"", "Range: bytes=0-999999,2000000-2999999\r\n"};
    char path[PATH_MAX];
    start();
    path_of("big.bin", path);
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        put_big("big.bin");
        int client = ask("GET", "/big.bin", rows[i]);
        turn();
        assert_int_equal(truncate(path, 1000), 0);
        take(client);
        assert_true(answer.len < content_length());
        assert_int_equal(pf_http_server_connections(server), 0);
    }
    stop();
}

/* ---- coded forms ----------------------------------------------------------------- */

static void a_coded_form_is_sent_to_who_prefers_it(void **state)
{
    (void)state;
    static const struct {
        const char *accept, *coding, *body;
    } rows[] = {
        {"", NULL, "<p>dir"},
        {"Accept-Encoding: gzip\r\n", "gzip", "gzipped"},
        {"Accept-Encoding: GZIP\r\n", "gzip", "gzipped"},
        {"Accept-Encoding: x-gzip\r\n", "gzip", "gzipped"},
        {"Accept-Encoding: gzipped\r\n", NULL, "<p>dir"},
        {"Accept-Encoding: br\r\n", "br", "brotli"},
        {"Accept-Encoding: gzip, deflate, br\r\n", "br", "brotli"},
        {"Accept-Encoding: gzip, br;q=0.5\r\n", "gzip", "gzipped"},
        {"Accept-Encoding: gzip;q=0, br;q=0\r\n", NULL, "<p>dir"},
        {"Accept-Encoding: *;q=0\r\n", NULL, "<p>dir"},
        {"Accept-Encoding: gzip\r\nAccept-Encoding: br\r\n", "br", "brotli"},
        {"Accept-Encoding: identity\r\n", NULL, "<p>dir"},
    };
    char value[256], tags[3][256];
    start();
    put("dir/index.html.gz", "gzipped");
    put("dir/index.html.br", "brotli");
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        assert_int_equal(get_with("/dir/", rows[i].accept), 200);
        assert_body(rows[i].body);
        assert_true(has("Vary: Accept-Encoding"));
        assert_true(has("Content-Type: text/html; charset=utf-8"));
        assert_int_equal(has_field("Content-Encoding"), rows[i].coding != NULL);
        if (rows[i].coding)
            assert_string_equal(value_of("Content-Encoding", value), rows[i].coding);
    }
    assert_int_equal(get("/dir/index.html"), 200);
    value_of("ETag", tags[0]);
    assert_int_equal(get_with("/dir/index.html", "Accept-Encoding: gzip\r\n"), 200);
    value_of("ETag", tags[1]);
    assert_int_equal(get_with("/dir/index.html", "Accept-Encoding: br\r\n"), 200);
    value_of("ETag", tags[2]);
    assert_string_not_equal(tags[0], tags[1]);
    assert_string_not_equal(tags[1], tags[2]);
    stop();
}

static void a_coded_form_has_conditions_and_ranges_of_its_own(void **state)
{
    (void)state;
    char tag[256], fields[1024];
    start();
    put("a.txt.gz", "gzipped");
    assert_int_equal(get_with("/a.txt", "Accept-Encoding: gzip\r\n"), 200);
    value_of("ETag", tag);
    with_tag("Accept-Encoding: gzip\r\nIf-None-Match: @\r\n", tag, fields);
    assert_int_equal(get_with("/a.txt", fields), 304);
    assert_true(has("Vary: Accept-Encoding"));
    with_tag("If-None-Match: @\r\n", tag, fields);
    assert_int_equal(get_with("/a.txt", fields), 200);
    assert_body("0123456789");
    with_tag("Accept-Encoding: gzip\r\nIf-Range: @\r\nRange: bytes=0-3\r\n", tag, fields);
    assert_int_equal(get_with("/a.txt", fields), 206);
    assert_true(has("Content-Range: bytes 0-3/7"));
    assert_true(has("Content-Encoding: gzip"));
    assert_body("gzip");
    assert_int_equal(get_with("/a.txt", "Accept-Encoding: gzip\r\nRange: bytes=9-\r\n"),
                     416);
    assert_true(has("Content-Range: bytes */7"));
    assert_false(has_field("Content-Encoding"));
    take(ask("HEAD", "/a.txt", "Accept-Encoding: gzip\r\n"));
    assert_true(has("Content-Length: 7"));
    assert_true(has("Content-Encoding: gzip"));
    stop();
}

static void what_is_no_coded_form_is_not_taken_for_one(void **state)
{
    (void)state;
    start();
    put("blob.bin.gz", "gzipped"); /* of a type that is not compressed */
    assert_int_equal(get_with("/blob.bin", "Accept-Encoding: gzip\r\n"), 200);
    assert_body("blob");
    put("a.txt.gz/x", "a directory");
    link_to("a.txt.br", "/etc/passwd");
    assert_int_equal(get_with("/a.txt", "Accept-Encoding: gzip, br\r\n"), 200);
    assert_body("0123456789");
    put("alone.txt.gz", "gzipped"); /* of no file */
    assert_int_equal(get_with("/alone.txt", "Accept-Encoding: gzip\r\n"), 404);
    assert_int_equal(get("/alone.txt.gz"), 200);
    assert_false(has_field("Content-Encoding"));
    stop();
}

/* ---- for applications ------------------------------------------------------------ */

static void an_application_serves_a_file_by_its_name(void **state)
{
    (void)state;
    start();
    assert_int_equal(get("/named?dir/b.html"), 200);
    assert_body("<p>b");
    assert_true(has("X-Mine: yes"));
    assert_int_equal(get_with("/named?a.txt", "Range: bytes=1-2,4-5\r\n"), 206);
    assert_int_equal(get("/named?.secret"), 403);
    assert_int_equal(get("/named?../outside.txt"), 403);
    assert_int_equal(get("/named?dir/../../outside.txt"), 403);
    assert_int_equal(get("/named?/etc/passwd"), 404);
    assert_int_equal(get("/named?dir/"), 200);
    assert_body("<p>dir");
    put("a/b.html", "<p>literal");
    assert_int_equal(get("/a/b.html"), 200); /* a route without a capture */
    assert_body("<p>literal");
    stop();
}

static void a_blocking_handler_serves_files_too(void **state)
{
    (void)state;
    start();
    assert_int_equal(get("/blocking/a.txt"), 200);
    assert_body("0123456789");
    assert_int_equal(get_with("/blocking/a.txt", "Range: bytes=1-2\r\n"), 206);
    assert_body("12");
    assert_int_equal(get_with("/blocking/a.txt", "Range: bytes=1-2,4-5\r\n"), 200);
    assert_body("0123456789");
    assert_int_equal(get_with("/blocking/a.txt", "If-None-Match: *\r\n"), 304);
    assert_int_equal(get_with("/blocking/a.txt", "Range: bytes=99-\r\n"), 416);
    assert_true(has("Content-Range: bytes */10"));
    assert_int_equal(get("/blocking/none"), 404);
    assert_int_equal(get("/blocking/dir"), 301);
    stop();
}

static void what_cannot_be_a_root_or_an_option_is_refused(void **state)
{
    (void)state;
    char root[PATH_MAX], name[PATH_MAX];
    pf_http_files *out = NULL;
    struct pf_http_files_options options = {PF_HTTP_FILES_OPTIONS};
    plant();
    path_of("", root);
    path_of("a.txt", name);
    assert_int_equal(pf_http_files_new(name, NULL, &out), -ENOTDIR);
    path_of("none", name);
    assert_int_equal(pf_http_files_new(name, NULL, &out), -ENOENT);
    assert_int_equal(pf_http_files_new(NULL, NULL, &out), -EINVAL);
    options.index = ".index";
    assert_int_equal(pf_http_files_new(root, &options, &out), -EINVAL);
    options.index = "dir/index.html";
    assert_int_equal(pf_http_files_new(root, &options, &out), -EINVAL);
    options.index = NULL;
    options.cache_control = "max-age=1\r\nSet-Cookie: a=b";
    assert_int_equal(pf_http_files_new(root, &options, &out), -EINVAL);
    assert_null(out);
    pf_http_files_free(NULL);
}

static void drop_line(enum pf_log_level level, const char *line, size_t len, void *arg)
{
    (void)level, (void)line, (void)len, (void)arg;
}

/* Whichever allocation fails: the client gets the answer, an error or the connection's end,
 * and nothing is left behind. */
static void serving_survives_the_want_of_memory(void **state)
{
    (void)state;
    static const struct {
        const char *path, *fields;
        int status;
    } rows[] = {
        {"/a.txt", "", 200},
        {"/big.bin", "", 200},
        {"/dir/", "", 200},
        {"/bare/", "", 200},
        {"/dir", "", 301},
        {"/a.txt", "Range: bytes=1-2\r\n", 206},
        {"/a.txt", "Range: bytes=1-2,4-5\r\n", 206},
        {"/big.bin", "Range: bytes=0-999999,1000000-1999999\r\n", 206},
        {"/a.txt", "If-None-Match: *\r\n", 304},
    };
    const struct pf_http_files_options options = {PF_HTTP_FILES_OPTIONS, .listing = true,
                                                  .cache_control = "no-cache"};
    if (!OWN_ALLOCATOR)
        skip();
    pf_log_set_sink(drop_line, NULL); /* a line for each */
    plant();
    put_big("big.bin");
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        bool failed = true;
        for (int nth = 1; failed; nth++) {
            start_with(&options);
            int client = ask("GET", rows[i].path, rows[i].fields);
            allocations = 0;
            fail_at = nth;
            size_t len = hear(client);
            failed = allocations >= nth;
            fail_at = 0;
            int status = len > 9 ? atoi(heard + 9) : 0;
            bool is_right = failed ? status == rows[i].status || status == 0 ||
                                         status == 500 || status == 503
                                   : status == rows[i].status;
            if (!is_right)
                fail_msg("%s%s, allocation %d: %d", rows[i].fields, rows[i].path, nth,
                         status);
            stop();
        }
    }
    pf_log_set_sink(NULL, NULL);
}

static void a_root_is_not_opened_without_memory(void **state)
{
    (void)state;
    char root[PATH_MAX];
    pf_http_files *out = NULL;
    const struct pf_http_files_options options = {PF_HTTP_FILES_OPTIONS,
                                                  .cache_control = "no-cache"};
    int err = -ENOMEM, nth = 0;
    if (!OWN_ALLOCATOR)
        skip();
    plant();
    path_of("", root);
    while (err == -ENOMEM) {
        assert_null(out);
        allocations = 0;
        fail_at = ++nth;
        err = pf_http_files_new(root, &options, &out);
        fail_at = 0;
    }
    assert_int_equal(err, 0);
    assert_true(nth > 3);
    pf_http_files_free(out);
}

int main(void)
{
    /* As workers do: sendfile(2) has no flag against it. */
    const struct sigaction ignore = {.sa_handler = SIG_IGN};
    sigaction(SIGPIPE, &ignore, NULL);
    const struct CMUnitTest tests[] = {
        pf_tree_test(a_file_is_sent_with_its_type_its_length_and_its_validators),
        pf_tree_test(a_big_file_comes_whole),
        pf_tree_test(head_gets_the_head_of_get),
        pf_tree_test(other_methods_are_told_which_there_are),
        pf_tree_test(cache_control_is_sent_as_configured),
        pf_tree_test(names_that_lead_elsewhere_or_to_no_file_are_not_there),
        pf_tree_test(links_that_stay_below_the_root_are_followed),
        pf_tree_test(escapes_in_names_are_decoded_once),
        pf_tree_test(without_openat2_no_link_is_followed),
        pf_tree_test(where_openat2_is_forbidden_no_link_is_followed),
        pf_tree_test(without_descriptors_a_file_is_unavailable),
        pf_tree_test(what_may_not_be_read_is_forbidden),
        pf_tree_test(a_directory_is_asked_for_with_a_slash),
        pf_tree_test(a_directory_is_its_index),
        pf_tree_test(the_index_may_have_another_name_or_none),
        pf_tree_test(a_listing_has_each_name_in_order_and_escaped),
        pf_tree_test(a_listing_that_would_be_too_long_says_so),
        pf_tree_test(conditions_are_looked_at_in_the_order_of_the_rfc),
        pf_tree_test(a_304_says_what_caches_need_and_no_more),
        pf_tree_test(a_tag_changes_with_size_time_and_file),
        pf_tree_test(a_file_that_may_still_change_has_a_weak_tag),
        pf_tree_test(one_range_is_sent_alone),
        pf_tree_test(several_ranges_are_parts_in_the_order_asked),
        pf_tree_test(many_big_parts_come_whole),
        pf_tree_test(a_client_that_goes_amid_parts_leaves_nothing),
        pf_tree_test(if_range_must_name_what_is_there),
        pf_tree_test(a_file_that_becomes_shorter_cuts_the_connection),
        pf_tree_test(a_coded_form_is_sent_to_who_prefers_it),
        pf_tree_test(a_coded_form_has_conditions_and_ranges_of_its_own),
        pf_tree_test(what_is_no_coded_form_is_not_taken_for_one),
        pf_tree_test(an_application_serves_a_file_by_its_name),
        pf_tree_test(a_blocking_handler_serves_files_too),
        pf_tree_test(serving_survives_the_want_of_memory),
        pf_tree_test(a_root_is_not_opened_without_memory),
        pf_tree_test(what_cannot_be_a_root_or_an_option_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
