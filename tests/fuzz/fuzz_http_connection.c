/*
 * fuzz_http_connection.c - any bytes, in any pieces, said to a whole server over a socket.
 *
 * A libFuzzer target (make fuzz); test_http_attacks.c includes it and replays the corpus.
 *
 * Of an input the first byte says how the client behaves and the second how it cuts what it
 * says, which is the rest. Whatever that is: nothing crashes or leaks, each answer is
 * well-formed, nothing follows a last one, and a client that waits for its answers gets the
 * same ones however it cuts.
 */
#include "tests/lib/wire.h"

#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum behaviour {
    SAYS_ALL = 1 << 0, /* half-closes behind it */
    LEAVES = 1 << 1,   /* in the midst, at a piece of its choice */
    DAWDLES = 1 << 2,  /* the clock goes on between pieces */
    READS_LATE = 1 << 3,
};

static void insist(bool holds)
{
    if (!holds)
        abort();
}

/* The next piece: 1 to 64 bytes, or all of it now and then. */
static size_t next_piece(uint32_t *random, size_t left)
{
    *random = *random * 1664525u + 1013904223u;
    uint32_t n = *random >> 24;
    size_t piece = n < 8 ? left : 1 + n % 64;
    return piece < left ? piece : left;
}

static void send_unheard(struct pf_wire *peer, const char *bytes, size_t len)
{
    (void)!send(peer->client, bytes, len, MSG_NOSIGNAL);
    pf_wire_turn(peer);
}

/* Returns whether it stays to the end. */
static bool say_in_pieces(struct pf_wire *peer, unsigned behaviour, uint32_t random,
                          const char *in, size_t len)
{
    for (unsigned leaves_at = random % 16; len > 0; leaves_at--) {
        size_t piece = next_piece(&random, len);
        if ((behaviour & LEAVES) && leaves_at == 0)
            return false;
        if (behaviour & READS_LATE)
            send_unheard(peer, in, piece);
        else if (!pf_wire_say(peer, in, piece))
            return true;
        if (behaviour & DAWDLES)
            pf_wire_advance(peer, 50 * PF_MILLISECOND);
        in += piece;
        len -= piece;
    }
    return true;
}

static char *behave(struct pf_wire *peer, unsigned behaviour, uint32_t random,
                    const char *in, size_t len)
{
    pf_wire_connect(peer);
    bool stays = say_in_pieces(peer, behaviour, random, in, len);
    if (stays && (behaviour & SAYS_ALL))
        (void)shutdown(peer->client, SHUT_WR);
    if (stays)
        pf_wire_settle(peer);
    char *told = pf_wire_tell(peer, PF_WIRE_FULL);
    insist(!peer->malformed && !peer->spilled);
    if (stays && (behaviour & SAYS_ALL))
        insist(peer->ended || peer->error);
    pf_wire_leave(peer);
    insist(pf_http_server_connections(peer->server) == 0);
    return told;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct pf_wire peer;
    if (size < 2)
        return 0;
    unsigned behaviour = data[0] & 15;
    uint32_t random = data[1];
    const char *in = (const char *)data + 2;
    size_t len = size - 2;
    pf_wire_start(&peer, NULL);
    char *cut = behave(&peer, behaviour, random, in, len);
    if (behaviour == 0 && !peer.cut) { /* a cut answer is longer the more often it is */
        char *whole = pf_wire_exchange(&peer, in, len, PF_WIRE_WHOLE, PF_WIRE_FULL);
        insist(strcmp(whole, cut) == 0);
        free(whole);
    }
    free(cut);
    pf_wire_stop(&peer);
    return 0;
}
