#pragma once

#include <compare>
#include <cstddef>
#include <string>
#include <string_view>

#include "base/core/result.h"

namespace credence {

/// A trust domain name such as "example.org": lower-case letters, digits, '.', '-', '_', 1 to 255
/// bytes. Never a DNS name or an address, whatever it looks like. Source: SPIFFE-ID section 2.1.
class TrustDomain {
 public:
  /// Reads a bare name. Errors: kInvalidArgument, naming the first byte that may not be there.
  static Result<TrustDomain> Parse(std::string_view name);

  const std::string& name() const { return name_; }
  /// "spiffe://" + name.
  std::string IdString() const { return "spiffe://" + name_; }

  auto operator<=>(const TrustDomain&) const = default;

 private:
  explicit TrustDomain(std::string name) : name_(std::move(name)) {}
  std::string name_;
};

/// A SPIFFE ID in its one spelling: "spiffe://" trust domain, then a path that is empty or starts
/// with '/'. Compared byte for byte; upper case in scheme or trust domain is refused on input.
/// Source: SPIFFE-ID section 2.
class SpiffeId {
 public:
  static constexpr std::size_t kMaxBytes = 2048;

  /// Errors: kInvalidArgument saying which rule the text breaks; the text itself is quoted, cut and
  /// escaped.
  static Result<SpiffeId> Parse(std::string_view text);
  /// From parts as they travel in SPIRE's messages; `path` is empty or starts with '/'.
  static Result<SpiffeId> FromParts(std::string_view trust_domain, std::string_view path);

  const std::string& text() const { return text_; }
  const TrustDomain& trust_domain() const { return trust_domain_; }
  /// "" or "/a/b".
  std::string_view path() const;

  bool MemberOf(const TrustDomain& domain) const { return trust_domain_ == domain; }

  bool operator==(const SpiffeId& other) const { return text_ == other.text_; }
  auto operator<=>(const SpiffeId& other) const { return text_ <=> other.text_; }

 private:
  SpiffeId(std::string text, TrustDomain domain)
      : text_(std::move(text)), trust_domain_(std::move(domain)) {}

  std::string text_;
  TrustDomain trust_domain_;
};

}  // namespace credence
