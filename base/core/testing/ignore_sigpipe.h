#pragma once

#include <signal.h>

namespace credence {

/// Including this makes the test program ignore SIGPIPE, as agent and authority do at their start:
/// OpenSSL's writes to a connection that the peer has closed raise it.
inline const bool kIgnoresSigpipe = signal(SIGPIPE, SIG_IGN) != SIG_ERR;

}  // namespace credence
