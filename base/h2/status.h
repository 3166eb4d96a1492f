#pragma once

#include <string>

#include "base/core/result.h"

namespace credence::h2 {

/// How a gRPC call ended, as its client reads it from the trailers.
/// Source: grpc/doc/PROTOCOL-HTTP2.md, "Trailers".
struct Status {
  Code code = Code::kOk;
  /// For a human; any bytes, percent-encoded on the wire and cut to 1 KiB there: clients refuse
  /// long trailers.
  std::string message;
  /// A serialized google.rpc.Status for grpc-status-details-bin; "" sends none. Dropped above 4
  /// KiB.
  std::string details;

  bool ok() const { return code == Code::kOk; }

  static Status Ok() { return Status{}; }
  /// The error's code and message as they are: what must not reach the client has been removed
  /// before.
  static Status From(const Error& error) { return Status{error.code(), error.message(), ""}; }
};

}  // namespace credence::h2
