#include "base/spiffe/spiffe_id.h"

#include <optional>

#include <fmt/format.h>

namespace credence {
namespace {

constexpr std::string_view kScheme = "spiffe://";
constexpr std::size_t kMaxTrustDomainBytes = 255;
constexpr std::size_t kMaxQuotedBytes = 80;

bool IsTrustDomainByte(char c) {
  return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '.' || c == '-' || c == '_';
}

bool IsPathByte(char c) {
  return IsTrustDomainByte(c) || (c >= 'A' && c <= 'Z');
}

/// Foreign text for a message: printable ASCII only, cut to a length a log can bear.
std::string Quote(std::string_view text) {
  std::string quoted = "\"";
  for (const char c : text.substr(0, kMaxQuotedBytes)) {
    quoted += c >= ' ' && c <= '~' && c != '"' ? c : '?';
  }
  return quoted + (text.size() > kMaxQuotedBytes ? "...\"" : "\"");
}

Error Invalid(std::string_view what, std::string_view text, std::string_view rule) {
  return Error(Code::kInvalidArgument, fmt::format("{} {}: {}", what, Quote(text), rule));
}

/// What is wrong with a trust domain name, or nullopt.
std::optional<std::string_view> TrustDomainFault(std::string_view name) {
  if (name.empty()) {
    return "the trust domain is empty";
  }
  if (name.size() > kMaxTrustDomainBytes) {
    return "the trust domain is longer than 255 bytes";
  }
  for (const char c : name) {
    if (c >= 'A' && c <= 'Z') {
      return "the trust domain must be in lower case";
    }
    if (c == '@') {
      return "user information is not allowed";
    }
    if (c == ':') {
      return "a port is not allowed";
    }
    if (c == '%') {
      return "percent-encoding is not allowed";
    }
    if (!IsTrustDomainByte(c)) {
      return "the trust domain may hold only a-z, 0-9, '.', '-' and '_'";
    }
  }
  return std::nullopt;
}

std::optional<std::string_view> SegmentFault(std::string_view segment) {
  if (segment.empty()) {
    return "the path has an empty segment or ends in '/'";
  }
  if (segment == "." || segment == "..") {
    return "the path has a '.' or '..' segment";
  }
  for (const char c : segment) {
    if (c == '?') {
      return "a query is not allowed";
    }
    if (c == '#') {
      return "a fragment is not allowed";
    }
    if (c == '%') {
      return "percent-encoding is not allowed";
    }
    if (!IsPathByte(c)) {
      return "a path segment may hold only letters, digits, '.', '-' and '_'";
    }
  }
  return std::nullopt;
}

/// `path` is empty or starts with '/'.
std::optional<std::string_view> PathFault(std::string_view path) {
  while (!path.empty()) {
    path.remove_prefix(1);
    const std::string_view segment = path.substr(0, path.find('/'));
    if (const auto fault = SegmentFault(segment)) {
      return fault;
    }
    path.remove_prefix(segment.size());
  }
  return std::nullopt;
}

}  // namespace

Result<TrustDomain> TrustDomain::Parse(std::string_view name) {
  if (const auto fault = TrustDomainFault(name)) {
    return Invalid("trust domain", name, *fault);
  }
  return TrustDomain(std::string(name));
}

Result<SpiffeId> SpiffeId::Parse(std::string_view text) {
  if (text.size() > kMaxBytes) {
    return Invalid("SPIFFE ID", text, "it is longer than 2048 bytes");
  }
  if (!text.starts_with(kScheme)) {
    return Invalid("SPIFFE ID", text, "it must start with spiffe://");
  }
  const std::string_view rest = text.substr(kScheme.size());
  const std::string_view domain = rest.substr(0, rest.find('/'));
  if (const auto fault = TrustDomainFault(domain)) {
    return Invalid("SPIFFE ID", text, *fault);
  }
  if (const auto fault = PathFault(rest.substr(domain.size()))) {
    return Invalid("SPIFFE ID", text, *fault);
  }
  auto parsed = TrustDomain::Parse(domain);
  if (!parsed.ok()) {
    return std::move(parsed).error();
  }
  return SpiffeId(std::string(text), *std::move(parsed));
}

Result<SpiffeId> SpiffeId::FromParts(std::string_view trust_domain, std::string_view path) {
  // Looked at apart: joined, a '/' in the name would become a part of the path.
  if (const auto fault = TrustDomainFault(trust_domain)) {
    return Invalid("trust domain", trust_domain, *fault);
  }
  if (!path.empty() && path.front() != '/') {
    return Invalid("SPIFFE ID path", path, "it must start with '/'");
  }
  return Parse(fmt::format("{}{}{}", kScheme, trust_domain, path));
}

std::string_view SpiffeId::path() const {
  return std::string_view(text_).substr(kScheme.size() + trust_domain_.name().size());
}

}  // namespace credence
