/* prefork.h - all of libprefork. */
#ifndef PREFORK_H
#define PREFORK_H

#include <prefork/base.h>
#include <prefork/executor.h>
#include <prefork/future.h>
#include <prefork/http.h>
#include <prefork/ipc.h>
#include <prefork/log.h>
#include <prefork/loop.h>
#include <prefork/master.h>
#include <prefork/options.h>
#include <prefork/periodic.h>
#include <prefork/poller.h>
#include <prefork/process.h>
#include <prefork/resolver.h>
#include <prefork/server.h>
#include <prefork/stream.h>
#include <prefork/subprocess.h>
#include <prefork/tcp.h>
#include <prefork/worker.h>

#endif
