#include "base/http/url.h"

#include <algorithm>
#include <charconv>
#include <system_error>
#include <utility>

#include <boost/asio/ip/address.hpp>
#include <boost/url/parse.hpp>
#include <boost/url/url_view.hpp>
#include <fmt/format.h>

namespace credence {
namespace {

constexpr std::size_t kMaxUrlBytes = 2048;
constexpr std::size_t kMaxHostBytes = 253;

Error BadUrl(std::string_view why) {
  return Error(Code::kInvalidArgument, fmt::format("URL {}", why));
}

char LowerAscii(char c) {
  return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
}

bool IsHostCharacter(char c) {
  return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '.' || c == '-' || c == '_';
}

std::uint16_t DefaultPort(UrlScheme scheme) {
  return scheme == UrlScheme::kHttps ? 443 : 80;
}

/// Boost 1.81 takes 127.0.0.1.example.com for the address 127.0.0.1, so the host is read from the
/// authority's own text.
Result<void> ReadHost(std::string_view host, HttpUrl& url) {
  boost::system::error_code failed;
  if (host.size() > 2 && host.front() == '[' && host.back() == ']') {
    url.host_kind = HostKind::kIpv6;
    url.host = host.substr(1, host.size() - 2);
    boost::asio::ip::make_address_v6(url.host, failed);
    // A zone would make the same text mean another host on another machine.
    return failed || url.host.find('%') != std::string::npos ? BadUrl("has no usable IPv6 address")
                                                             : Ok();
  }
  url.host = host;
  std::transform(url.host.begin(), url.host.end(), url.host.begin(), LowerAscii);
  boost::asio::ip::make_address_v4(url.host, failed);
  url.host_kind = failed ? HostKind::kName : HostKind::kIpv4;
  if (url.host.empty() || url.host.size() > kMaxHostBytes ||
      !std::all_of(url.host.begin(), url.host.end(), IsHostCharacter)) {
    return BadUrl("has no usable host name");
  }
  return Ok();
}

/// Of "https://authority/path": what stands between the slashes.
std::string_view AuthorityOf(std::string_view text) {
  const auto start = text.find("://");
  if (start == std::string_view::npos) {
    return {};
  }
  const std::string_view rest = text.substr(start + 3);
  return rest.substr(0, rest.find_first_of("/?#"));
}

std::string_view WithoutPort(std::string_view authority) {
  const auto bracket = authority.rfind(']');
  const auto colon = authority.find(':', bracket == std::string_view::npos ? 0 : bracket);
  return authority.substr(0, colon);
}

Result<std::uint16_t> ReadPort(std::string_view authority, UrlScheme scheme) {
  const std::string_view rest = authority.substr(WithoutPort(authority).size());
  if (rest.empty()) {
    return DefaultPort(scheme);
  }
  std::uint16_t port = 0;
  const char* end = rest.data() + rest.size();
  const auto [stop, failed] = std::from_chars(rest.data() + 1, end, port);
  if (failed != std::errc() || stop != end || port == 0) {
    return BadUrl("has a port that is not a number from 1 to 65535");
  }
  return port;
}

}  // namespace

std::string HttpUrl::Authority() const {
  std::string text = host_kind == HostKind::kIpv6 ? fmt::format("[{}]", host) : host;
  if (port != DefaultPort(scheme)) {
    text += fmt::format(":{}", port);
  }
  return text;
}

std::string HttpUrl::Origin() const {
  return fmt::format("{}://{}", scheme == UrlScheme::kHttps ? "https" : "http", Authority());
}

bool IsLoopback(const HttpUrl& url) {
  if (url.host_kind == HostKind::kName) {
    return url.host == "localhost";
  }
  boost::system::error_code failed;
  const auto address = boost::asio::ip::make_address(url.host, failed);
  return !failed && address.is_loopback();
}

Result<HttpUrl> ParseHttpUrl(std::string_view text) {
  if (text.size() > kMaxUrlBytes) {
    return BadUrl(fmt::format("is longer than {} bytes", kMaxUrlBytes));
  }
  const auto parsed = boost::urls::parse_uri(boost::core::string_view(text.data(), text.size()));
  if (parsed.has_error()) {
    return BadUrl("cannot be read (expected https://host[:port]/path)");
  }
  HttpUrl url;
  switch (parsed->scheme_id()) {
    case boost::urls::scheme::https:
      url.scheme = UrlScheme::kHttps;
      break;
    case boost::urls::scheme::http:
      url.scheme = UrlScheme::kHttp;
      break;
    default:
      return BadUrl("has a scheme other than https and http");
  }
  if (parsed->has_userinfo()) {
    return BadUrl("has a user name or password");
  }
  if (parsed->has_fragment()) {
    return BadUrl("has a fragment");
  }
  if (auto host = ReadHost(WithoutPort(AuthorityOf(text)), url); !host.ok()) {
    return std::move(host).error();
  }
  auto port = ReadPort(AuthorityOf(text), url.scheme);
  if (!port.ok()) {
    return std::move(port).error();
  }
  url.port = *port;
  // Everything after the authority; the parser above has checked its characters.
  const std::string_view authority = AuthorityOf(text);
  url.target = text.substr(text.find("://") + 3 + authority.size());
  if (url.target.empty() || url.target.front() != '/') {
    url.target.insert(url.target.begin(), '/');
  }
  if (url.scheme == UrlScheme::kHttp && !IsLoopback(url)) {
    return BadUrl("is plain http to a host that is not loopback; use https");
  }
  return url;
}

}  // namespace credence
