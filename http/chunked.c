/* chunked.c - see chunked.h. */
#include "http/chunked.h"

#include "http/text.h"

/* As many as fit into 64 bits. */
#define DIGITS_MAX 16

/* Behind a size, or behind what an extension ends with. */
static enum pf__chunked_state after_part(char c)
{
    if (c == ';')
        return PF__CHUNKED_BEFORE_NAME;
    if (c == '\r')
        return PF__CHUNKED_SIZE_FEED;
    return pf__is_blank(c) ? PF__CHUNKED_EXTENSION : PF__CHUNKED_BAD;
}

static enum pf__chunked_state take_digit(struct pf__chunked *chunked, char c)
{
    if (chunked->digits == DIGITS_MAX)
        return PF__CHUNKED_BAD;
    chunked->digits++;
    chunked->left = chunked->left << 4 | (unsigned)pf__hex_digit(c);
    return PF__CHUNKED_SIZE;
}

static enum pf__chunked_state only(bool is_right, enum pf__chunked_state then)
{
    return is_right ? then : PF__CHUNKED_BAD;
}

/* The state behind this byte. */
static enum pf__chunked_state next(struct pf__chunked *chunked, char c)
{
    enum pf__chunked_state state = chunked->state;
    switch (state) {
    case PF__CHUNKED_START:
        chunked->left = chunked->digits = 0;
        return pf__char_is(c, PF__HEX) ? take_digit(chunked, c) : PF__CHUNKED_BAD;
    case PF__CHUNKED_SIZE:
        return pf__char_is(c, PF__HEX) ? take_digit(chunked, c) : after_part(c);
    case PF__CHUNKED_EXTENSION:
        return c == '\r' ? PF__CHUNKED_BAD : after_part(c);
    case PF__CHUNKED_BEFORE_NAME:
        if (pf__is_blank(c))
            return state;
        return only(pf__char_is(c, PF__TOKEN), PF__CHUNKED_NAME);
    case PF__CHUNKED_NAME:
        if (pf__char_is(c, PF__TOKEN))
            return state;
        if (c == '=')
            return PF__CHUNKED_BEFORE_VALUE;
        return pf__is_blank(c) ? PF__CHUNKED_AFTER_NAME : after_part(c);
    case PF__CHUNKED_AFTER_NAME:
        if (pf__is_blank(c))
            return state;
        return c == '=' ? PF__CHUNKED_BEFORE_VALUE
                        : only(c == ';', PF__CHUNKED_BEFORE_NAME);
    case PF__CHUNKED_BEFORE_VALUE:
        if (pf__is_blank(c))
            return state;
        return c == '"' ? PF__CHUNKED_QUOTED
                        : only(pf__char_is(c, PF__TOKEN), PF__CHUNKED_VALUE);
    case PF__CHUNKED_VALUE:
        return pf__char_is(c, PF__TOKEN) ? state : after_part(c);
    case PF__CHUNKED_QUOTED:
        if (c == '"')
            return PF__CHUNKED_AFTER_QUOTED;
        return c == '\\' ? PF__CHUNKED_ESCAPED : only(pf__char_is(c, PF__VALUE), state);
    case PF__CHUNKED_ESCAPED:
        return only(pf__char_is(c, PF__VALUE), PF__CHUNKED_QUOTED);
    case PF__CHUNKED_AFTER_QUOTED:
        return after_part(c);
    case PF__CHUNKED_SIZE_FEED:
        return only(c == '\n',
                    chunked->left > 0 ? PF__CHUNKED_DATA : PF__CHUNKED_TRAILER_START);
    case PF__CHUNKED_DATA_RETURN:
        return only(c == '\r', PF__CHUNKED_DATA_FEED);
    case PF__CHUNKED_DATA_FEED:
        return only(c == '\n', PF__CHUNKED_START);
    case PF__CHUNKED_TRAILER_START:
        return c == '\r' ? PF__CHUNKED_LAST_FEED
                         : only(pf__char_is(c, PF__TOKEN), PF__CHUNKED_TRAILER_NAME);
    case PF__CHUNKED_TRAILER_NAME:
        return c == ':' ? PF__CHUNKED_TRAILER_VALUE
                        : only(pf__char_is(c, PF__TOKEN), state);
    case PF__CHUNKED_TRAILER_VALUE:
        return c == '\r' ? PF__CHUNKED_TRAILER_FEED
                         : only(pf__char_is(c, PF__VALUE), state);
    case PF__CHUNKED_TRAILER_FEED:
        return only(c == '\n', PF__CHUNKED_TRAILER_START);
    case PF__CHUNKED_LAST_FEED:
        return only(c == '\n', PF__CHUNKED_DONE);
    case PF__CHUNKED_DATA:
    case PF__CHUNKED_DONE:
    case PF__CHUNKED_BAD:
        break; /* no framing */
    }
    return PF__CHUNKED_BAD;
}

static bool is_framing(const struct pf__chunked *chunked)
{
    return chunked->state != PF__CHUNKED_DATA && chunked->state < PF__CHUNKED_DONE;
}

size_t pf__chunked_skip(struct pf__chunked *chunked, const char *p, size_t len)
{
    size_t at = 0;
    while (at < len && is_framing(chunked))
        chunked->state = (uint8_t)next(chunked, p[at++]);
    return at;
}

void pf__chunked_take(struct pf__chunked *chunked, size_t len)
{
    chunked->left -= len;
    if (chunked->left == 0)
        chunked->state = PF__CHUNKED_DATA_RETURN;
}
