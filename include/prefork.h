/* prefork.h - all of libprefork. */
#ifndef PREFORK_H
#define PREFORK_H

#include <prefork/base.h>
#include <prefork/http.h>
#include <prefork/log.h>
#include <prefork/loop.h>
#include <prefork/options.h>
#include <prefork/poller.h>

#endif
