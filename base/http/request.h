#pragma once

#include <cstddef>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "base/core/result.h"
#include "base/core/secret_bytes.h"
#include "base/http/url.h"

namespace credence {

enum class HttpMethod { kGet, kPost, kPut, kDelete };

/// "GET" and so on.
std::string_view HttpMethodName(HttpMethod method);

/// A header to send. The value may be a secret, such as a token.
struct HttpHeader {
  std::string name;
  SharedSecret value;
};

/// A header whose value is no secret.
HttpHeader PlainHeader(std::string name, std::string_view value);

/// Judges the certificates (DER, leaf first) that a server shows.
using PeerVerifier = std::function<Result<void>(const std::vector<std::string>& chain)>;

inline constexpr std::size_t kDefaultMaxResponseBytes = std::size_t{1} << 20;

/// One request. Nothing is added to it but Host, User-Agent, Content-Length, Connection and
/// Accept-Encoding.
struct HttpRequest {
  HttpMethod method = HttpMethod::kGet;
  HttpUrl url;
  std::vector<HttpHeader> headers;
  SecretBytes body;
  /// Longest body accepted in the answer.
  std::size_t max_response_bytes = kDefaultMaxResponseBytes;
  /// PEM file with the only roots trusted for this request; "" for those of the system.
  std::string ca_file;
  /// Where there is one, it alone says who the server is: neither roots nor the URL's host count.
  /// For https only.
  PeerVerifier verify_peer;
};

/// The whole request as it goes on the wire (HTTP/1.1).
/// Errors: kInvalidArgument for a header name or value that would break out of its line, and for a
/// header that belongs
///   to this layer (Host, Content-Length, Transfer-Encoding, Connection, Accept-Encoding, Expect,
///   Upgrade, TE, Trailer).
/// Source: RFC 9112 sections 3 and 5, RFC 9110 section 5.
Result<SecretBytes> SerializeRequest(const HttpRequest& request);

}  // namespace credence
