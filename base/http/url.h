#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "base/core/result.h"

namespace credence {

enum class UrlScheme { kHttp, kHttps };
enum class HostKind { kName, kIpv4, kIpv6 };

/// A checked http or https URL. Made by ParseHttpUrl only.
struct HttpUrl {
  UrlScheme scheme = UrlScheme::kHttps;
  /// Lower case; an IPv6 address without its brackets.
  std::string host;
  HostKind host_kind = HostKind::kName;
  std::uint16_t port = 443;
  /// Path and query as they go on the wire; starts with '/'.
  std::string target = "/";

  /// The value of the Host header: the port only if it is not the scheme's own.
  std::string Authority() const;
  /// "https://host[:port]" without target.
  std::string Origin() const;

  bool operator==(const HttpUrl&) const = default;
};

/// Reads an absolute URL of at most 2048 bytes. Plain http is for loopback only: localhost,
/// 127.0.0.0/8, [::1], because a token may travel on it. Errors: kInvalidArgument for anything
/// else, also for user information, a fragment, port 0, and a host that is not
///   plain ASCII.
/// Source: RFC 3986; JWT-SVID section 7 (confidential channels).
Result<HttpUrl> ParseHttpUrl(std::string_view text);

/// True for localhost, an address in 127.0.0.0/8, and ::1.
bool IsLoopback(const HttpUrl& url);

}  // namespace credence
