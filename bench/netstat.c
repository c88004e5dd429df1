/* netstat.c - see netstat.h. Source: Documentation/networking/snmp_counter.rst. */
#include "bench/netstat.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    FILE_MAX = 32 * 1024 /* four lines: some 6 kB */
};

/* The line behind "group:", or NULL. */
static const char *find_line(const char *text, const char *group)
{
    size_t len = strlen(group);
    for (const char *line = text; line; line = strchr(line, '\n')) {
        line += *line == '\n';
        if (strncmp(line, group, len) == 0 && line[len] == ':')
            return line + len + 1;
        if (!*line)
            return NULL;
    }
    return NULL;
}

/* Which word of the line it is, from 0; -1: none. */
static int find_word(const char *line, const char *name)
{
    size_t len = strlen(name);
    int at = 0;
    for (line += strspn(line, " "); *line && *line != '\n'; at++) {
        size_t word = strcspn(line, " \n");
        if (word == len && strncmp(line, name, len) == 0)
            return at;
        line += word;
        line += strspn(line, " ");
    }
    return -1;
}

int64_t netstat_find(const char *text, const char *group, const char *name)
{
    const char *names = find_line(text, group);
    const char *values = names ? find_line(names, group) : NULL;
    int at = names && values ? find_word(names, name) : -1;
    if (at < 0)
        return -1;
    char *end = NULL;
    int64_t value = -1;
    for (int i = 0; i <= at; i++) {
        value = strtoll(values, &end, 10);
        if (end == values)
            return -1;
        values = end;
    }
    return value;
}

void netstat_read(struct netstat *out)
{
    static const char ext[] = "TcpExt";
    char text[FILE_MAX];
    FILE *file = fopen("/proc/net/netstat", "re");
    size_t len = file ? fread(text, 1, sizeof text - 1, file) : 0;
    if (file)
        fclose(file);
    text[len] = 0;
    out->listen_drops = netstat_find(text, ext, "ListenDrops");
    out->listen_overflows = netstat_find(text, ext, "ListenOverflows");
    out->syn_retries = netstat_find(text, ext, "TCPSynRetrans");
}
