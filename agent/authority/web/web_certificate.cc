#include "agent/authority/web/web_certificate.h"

#include <utility>

#include <fmt/format.h>

#include "base/core/file.h"
#include "base/core/log.h"
#include "base/crypto/certificate.h"
#include "base/crypto/private_key.h"

namespace credence {
namespace {

constexpr std::chrono::minutes kReadInterval{1};
constexpr std::size_t kMaxKeyBytes = std::size_t{64} << 10;

}  // namespace

WebCertificate::WebCertificate(asio::any_io_executor executor,
                               asio::thread_pool& pool,
                               std::string certificate_file,
                               std::string key_file)
    : pool_(pool),
      certificate_file_(std::move(certificate_file)),
      key_file_(std::move(key_file)),
      tasks_(std::move(executor)) {}

Result<WebCertificate::Loaded> WebCertificate::Load(const std::string& certificate_file,
                                                    const std::string& key_file) {
  auto certificates = ReadCertificateFile(certificate_file);
  if (!certificates.ok()) {
    return std::move(certificates).error();
  }
  const auto pem = ReadSecretFile(key_file, kMaxKeyBytes);
  if (!pem.ok()) {
    return pem.error();
  }
  auto key = PrivateKey::FromPem(*pem);
  if (!key.ok()) {
    return std::move(key).error().Wrap(key_file);
  }
  auto context = MakeTlsServerContext({*certificates, *std::move(key), {"http/1.1"}, nullptr});
  if (!context.ok()) {
    return std::move(context).error().Wrap(fmt::format("{} and {}", certificate_file, key_file));
  }
  return Loaded{*std::move(certificates), *std::move(context)};
}

Result<void> WebCertificate::Prepare() {
  auto loaded = Load(certificate_file_, key_file_);
  if (!loaded.ok()) {
    return std::move(loaded).error();
  }
  loaded_ = *std::move(loaded);
  read_at_ = SteadyTime::clock::now();
  return Ok();
}

TlsServerContext WebCertificate::Context() {
  if (loaded_.context && SteadyTime::clock::now() - read_at_ >= kReadInterval) {
    Reload();
  }
  return loaded_.context;
}

void WebCertificate::Reload() {
  read_at_ = SteadyTime::clock::now();
  tasks_.Spawn("read the web certificate", LoadAgain());
}

Task<void> WebCertificate::Stop() {
  return tasks_.Stop();
}

Task<void> WebCertificate::LoadAgain() {
  auto load = [certificate_file = certificate_file_, key_file = key_file_] {
    return Load(certificate_file, key_file);
  };
  auto loaded = co_await RunOn(pool_, std::move(load));
  if (!loaded.ok()) {
    LogWarn("A web certificate could not be read again; the last good one is shown",
            {{"error", loaded.error()}});
  } else if (loaded->certificates != loaded_.certificates) {
    loaded_ = *std::move(loaded);
    LogInfo("A web certificate has changed", {{"file", certificate_file_}});
  }
}

}  // namespace credence
