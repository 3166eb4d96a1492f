#pragma once

#include <memory>
#include <string>

#include <boost/asio/ssl/context.hpp>

namespace credence {

/// A certificate authority that lives for one test.
class TestCa {
 public:
  explicit TestCa(const std::string& common_name);
  ~TestCa();
  TestCa(const TestCa&) = delete;
  TestCa& operator=(const TestCa&) = delete;

  /// The CA certificate as PEM.
  const std::string& pem() const { return pem_; }

  /// A server context with a fresh leaf for `alt_name` ("DNS:localhost", "IP:127.0.0.1").
  std::shared_ptr<boost::asio::ssl::context> Issue(const std::string& alt_name) const;

 private:
  struct Keys;
  std::unique_ptr<Keys> keys_;
  std::string pem_;
};

}  // namespace credence
