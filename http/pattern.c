/*
 * pattern.c - path patterns, as a tree of segments; see pattern.h.
 *
 * A node is a place in paths: "behind /users/". Names of captures are no part of it, so
 * patterns that match the same paths meet in the same node.
 */
#include "http/pattern.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#define NO_PATTERN (-1)

struct node {
    struct pf__text literal; /* what leads here; of a capture: nothing */
    struct node **literals;  /* where literal segments lead, in order */
    size_t literal_count;
    struct node *capture;
    int end;  /* the pattern that ends here */
    int rest; /* the pattern whose rest begins here */
};

struct pf__patterns {
    const char *const *texts;
    struct node *root;
};

enum kind {
    LITERAL,
    CAPTURE,
    REST,
    BAD,
};

static bool is_name(struct pf__text text)
{
    for (size_t i = 0; i < text.len; i++)
        if (!pf__is_letter(text.at[i]) && !pf__is_digit(text.at[i]) && text.at[i] != '_')
            return false;
    return text.len > 0;
}

/* What a segment of a pattern is, and the name if it is a capture. */
static enum kind kind_of(struct pf__text segment, struct pf__text *name)
{
    bool opens = pf__text_find(segment, '{') < segment.len;
    if (!opens && pf__text_find(segment, '}') == segment.len)
        return LITERAL;
    if (segment.len < 2 || segment.at[0] != '{' || segment.at[segment.len - 1] != '}')
        return BAD;
    *name = (struct pf__text){segment.at + 1, segment.len - 2};
    bool is_rest = name->len > 3 && memcmp(name->at + name->len - 3, "...", 3) == 0;
    if (is_rest)
        name->len -= 3;
    if (!is_name(*name))
        return BAD;
    return is_rest ? REST : CAPTURE;
}

/* Segments are what is between slashes, so "/" is one, which is empty. False behind the
 * last. *rest begins with the slash in front of the segment. */
static inline bool next_segment(struct pf__text *rest, struct pf__text *segment)
{
    if (rest->len == 0)
        return false;
    struct pf__text behind = pf__text_skip(*rest, 1);
    *segment = (struct pf__text){behind.at, pf__text_find(behind, '/')};
    *rest = pf__text_skip(behind, segment->len);
    return true;
}

struct pf__text pf__pattern_capture_name(const char *pattern, size_t n)
{
    struct pf__text rest = pf__text_of(pattern), segment, name;
    while (next_segment(&rest, &segment)) {
        enum kind kind = kind_of(segment, &name);
        if ((kind == CAPTURE || kind == REST) && n-- == 0)
            return name;
    }
    return (struct pf__text){NULL, 0};
}

/* ---- making the tree ------------------------------------------------------------- */

static bool names_differ(const char *pattern, size_t count)
{
    for (size_t i = 1; i < count; i++)
        for (size_t j = 0; j < i; j++)
            if (pf__text_equals(pf__pattern_capture_name(pattern, i),
                                pf__pattern_capture_name(pattern, j)))
                return false;
    return true;
}

/* NULL if the pattern is fine, or what is wrong with it. */
static const char *fault_of(const char *pattern)
{
    struct pf__text rest = pf__text_of(pattern), segment, name;
    size_t segments = 0, captures = 0;
    if (pattern[0] != '/')
        return "does not begin with a slash";
    while (next_segment(&rest, &segment)) {
        enum kind kind = kind_of(segment, &name);
        if (kind == BAD)
            return "has braces that are no {name} of a whole segment";
        if (kind == REST && rest.len > 0)
            return "goes on behind its rest";
        captures += kind != LITERAL;
        segments++;
    }
    if (captures > PF__PATTERN_CAPTURES_MAX || segments > PF__PATTERN_SEGMENTS_MAX)
        return "is too long";
    return names_differ(pattern, captures) ? NULL : "has two captures of one name";
}

static struct node *node_new(struct pf__text literal)
{
    struct node *node = calloc(1, sizeof *node);
    if (node) {
        node->literal = literal;
        node->end = node->rest = NO_PATTERN;
    }
    return node;
}

static void node_free(struct node *node)
{
    if (!node)
        return;
    for (size_t i = 0; i < node->literal_count; i++)
        node_free(node->literals[i]);
    node_free(node->capture);
    free(node->literals);
    free(node);
}

/* A shorter one comes first: most comparisons end without looking at a byte. */
static int compare(struct pf__text a, struct pf__text b)
{
    if (a.len != b.len)
        return a.len < b.len ? -1 : 1;
    return a.len > 0 ? memcmp(a.at, b.at, a.len) : 0;
}

/* Which of the literals the segment is; or -1 - n: none, and it belongs before the n-th. */
static ptrdiff_t find_literal(const struct node *node, struct pf__text segment)
{
    size_t low = 0, high = node->literal_count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        int order = compare(segment, node->literals[middle]->literal);
        if (order == 0)
            return (ptrdiff_t)middle;
        if (order > 0)
            low = middle + 1;
        else
            high = middle;
    }
    return -1 - (ptrdiff_t)low;
}

static struct node *add_literal(struct node *node, struct pf__text segment)
{
    ptrdiff_t found = find_literal(node, segment);
    if (found >= 0)
        return node->literals[found];
    size_t at = (size_t)(-1 - found);
    struct node **grown =
        realloc(node->literals, (node->literal_count + 1) * sizeof(struct node *));
    if (!grown)
        return NULL;
    node->literals = grown;
    struct node *added = node_new(segment);
    if (!added)
        return NULL;
    memmove(&grown[at + 1], &grown[at], (node->literal_count - at) * sizeof(struct node *));
    grown[at] = added;
    node->literal_count++;
    return added;
}

static struct node *add_capture(struct node *node)
{
    if (!node->capture)
        node->capture = node_new((struct pf__text){NULL, 0});
    return node->capture;
}

/* The place of the table where the pattern ends, or NULL if memory does. */
static int *add_pattern(struct node *node, const char *pattern)
{
    struct pf__text rest = pf__text_of(pattern), segment, name;
    while (node && next_segment(&rest, &segment)) {
        enum kind kind = kind_of(segment, &name);
        if (kind == REST)
            return &node->rest;
        node = kind == CAPTURE ? add_capture(node) : add_literal(node, segment);
    }
    return node ? &node->end : NULL;
}

static int add(struct pf__patterns *patterns, size_t index, char *why, size_t why_len)
{
    const char *pattern = patterns->texts[index];
    const char *fault = fault_of(pattern);
    if (fault) {
        snprintf(why, why_len, "%s %s", pattern, fault);
        return -EINVAL;
    }
    int *place = add_pattern(patterns->root, pattern);
    if (!place)
        return -ENOMEM;
    if (*place != NO_PATTERN) {
        snprintf(why, why_len, "%s and %s match the same paths", patterns->texts[*place],
                 pattern);
        return -EEXIST;
    }
    *place = (int)index;
    return 0;
}

int pf__patterns_new(const char *const *texts, size_t count, char *why, size_t why_len,
                     struct pf__patterns **out)
{
    struct pf__patterns *patterns = calloc(1, sizeof *patterns);
    int err = -ENOMEM;
    if (!patterns)
        return err;
    patterns->texts = texts;
    patterns->root = node_new((struct pf__text){NULL, 0});
    if (patterns->root)
        err = 0;
    for (size_t i = 0; i < count && err == 0; i++)
        err = add(patterns, i, why, why_len);
    if (err)
        pf__patterns_free(patterns);
    else
        *out = patterns;
    return err;
}

void pf__patterns_free(struct pf__patterns *patterns)
{
    if (!patterns)
        return;
    node_free(patterns->root);
    free(patterns);
}

/* ---- matching -------------------------------------------------------------------- */

static void capture(struct pf__captures *captures, size_t depth, struct pf__text text)
{
    captures->at[depth] = text;
    captures->count = depth + 1;
}

static bool is_unreserved(char c)
{
    return pf__is_letter(c) || pf__is_digit(c) || c == '-' || c == '.' || c == '_' ||
           c == '~';
}

/* What the first byte stands for, or its escape, and how many bytes that takes. */
static char plain_char(struct pf__text text, size_t *taken)
{
    *taken = 1;
    if (text.at[0] != '%' || text.len < 3)
        return text.at[0];
    int high = pf__hex_digit(text.at[1]), low = pf__hex_digit(text.at[2]);
    if (high < 0 || low < 0 || !is_unreserved((char)(high * 16 + low)))
        return text.at[0];
    *taken = 3;
    return (char)(high * 16 + low);
}

/* Without the escapes that say nothing. Apart, for the sake of its stack. */
static __attribute__((noinline)) ptrdiff_t find_escaped(const struct node *node,
                                                        struct pf__text segment)
{
    char plain[PF__PATTERN_ESCAPED_MAX];
    size_t len = 0, taken;
    if (segment.len > sizeof plain)
        return -1;
    for (; segment.len > 0; segment = pf__text_skip(segment, taken))
        plain[len++] = plain_char(segment, &taken);
    return find_literal(node, (struct pf__text){plain, len});
}

static int match(const struct node *node, struct pf__text rest, bool escaped,
                 size_t captured, struct pf__captures *captures);

/* The pattern that ends at a node, or that goes on from it. */
static int match_behind(const struct node *node, struct pf__text rest, bool escaped,
                        size_t captured, struct pf__captures *captures)
{
    if (rest.len > 0)
        return match(node, rest, escaped, captured, captures);
    if (node->end != NO_PATTERN)
        captures->count = captured;
    return node->end;
}

/* A node stands behind one number of segments only, so each is tried once at the most,
 * however paths go back. `captured` on the way to it; `rest` is not empty. Writes to
 * *captures on the way back from a match alone. */
static int match(const struct node *node, struct pf__text rest, bool escaped,
                 size_t captured, struct pf__captures *captures)
{
    struct pf__text segment, behind = rest;
    int found = NO_PATTERN;
    (void)next_segment(&behind, &segment);
    ptrdiff_t at = find_literal(node, segment);
    if (at < 0 && escaped)
        at = find_escaped(node, segment);
    if (at >= 0)
        found = match_behind(node->literals[at], behind, escaped, captured, captures);
    if (found == NO_PATTERN && node->capture && segment.len > 0) {
        found = match_behind(node->capture, behind, escaped, captured + 1, captures);
        if (found != NO_PATTERN)
            captures->at[captured] = segment;
    }
    if (found == NO_PATTERN && node->rest != NO_PATTERN) {
        found = node->rest;
        capture(captures, captured, pf__text_skip(rest, 1));
    }
    return found;
}

int pf__patterns_match(const struct pf__patterns *patterns, struct pf__text path,
                       bool escaped, struct pf__captures *captures)
{
    if (path.len == 0 || path.at[0] != '/')
        return -ENOENT;
    int index = match(patterns->root, path, escaped, 0, captures);
    return index == NO_PATTERN ? -ENOENT : index;
}
