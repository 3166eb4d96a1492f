#pragma once

#include "base/h2/server_call.h"

namespace credence::h2 {

/// A handler that reads exactly one message, has `handler` answer it and sends the reply.
Handler MakeUnary(UnaryHandler handler);

}  // namespace credence::h2
