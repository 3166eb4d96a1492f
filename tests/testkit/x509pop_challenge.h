#pragma once

#include <string>
#include <string_view>

namespace credence::testkit {

/// The server's half of x509pop. Source: SPIRE's x509pop attestor, payloads and challenge.
class X509PopChallenge {
 public:
  /// For the key of `certificate_pem` (RSA or EC).
  explicit X509PopChallenge(std::string_view certificate_pem);

  /// Whether `payload` shows that certificate first.
  bool PayloadFits(std::string_view payload) const;
  /// The challenge to send.
  std::string Text() const;
  /// Whether `answer` proves possession of the key.
  bool AnswerFits(std::string_view answer) const;

 private:
  std::string certificate_;
  std::string nonce_;
  bool rsa_ = false;
};

}  // namespace credence::testkit
