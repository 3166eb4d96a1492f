#pragma once

#include "base/core/deadline.h"
#include "base/core/result.h"
#include "base/core/task.h"
#include "base/http/request.h"
#include "base/http/resolver.h"
#include "base/http/response_reader.h"
#include "base/http/root_stores.h"

namespace credence {

/// Whether a server may have acted on a request that got no usable answer.
enum class RequestFate {
  /// No byte of the request left this machine.
  kNotSent,
  /// Some or all of it did: without an answer the outcome is unknown.
  kSent,
};

/// An answer of any status, or why there is none.
/// Errors: kUnavailable when the host is not found, cannot be reached, fails TLS or breaks the
/// connection;
///   kDeadlineExceeded; kDataLoss when the answer is not HTTP or stops in the middle; kOutOfRange
///   when it is too large; kInvalidArgument for a bad header or CA file; kCancelled.
struct HttpOutcome {
  Result<HttpResponse> response;
  RequestFate fate = RequestFate::kNotSent;
};

/// HTTP/1.1 over TLS 1.2 or later; plain only where ParseHttpUrl allows it. One connection for each
/// request. Redirects, cookies, proxies and credentials from the surroundings do not exist here.
/// The server's certificate must chain to the request's roots and name the URL's host, unless the
/// request brings a verifier of its own.
/// Threads: the core thread. Destroy it before the io_context it is used on.
/// Source: RFC 9110, RFC 9112, RFC 9525 (names in certificates).
class HttpClient {
 public:
  /// Sends `request` once. `deadline` covers all of it: lookup, connecting, TLS, request and
  /// answer.
  Task<HttpOutcome> Send(HttpRequest request, Deadline deadline);

  /// The root certificates that it has read.
  const RootStores& roots() const { return roots_; }

 private:
  Task<Result<HttpResponse>> Converse(const HttpRequest& request,
                                      RequestFate& fate,
                                      Deadline deadline);

  NameResolver resolver_;
  RootStores roots_;
};

}  // namespace credence
