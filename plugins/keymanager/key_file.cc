#include "plugins/keymanager/key_file.h"

#include <cstddef>
#include <string_view>
#include <utility>

#include <boost/json/memory_resource.hpp>
#include <boost/json/object.hpp>
#include <boost/json/parse.hpp>
#include <boost/json/parse_options.hpp>
#include <boost/json/string.hpp>
#include <boost/json/value.hpp>
#include <fmt/format.h>
#include <openssl/crypto.h>

#include "base/crypto/digest.h"

namespace credence {
namespace {

namespace json = boost::json;

/// Memory for JSON that holds secrets: wiped when given back.
class WipingMemory final : public json::memory_resource {
 private:
  void* do_allocate(std::size_t bytes, std::size_t alignment) override {
    return ::operator new(bytes, std::align_val_t(alignment));
  }
  void do_deallocate(void* memory, std::size_t bytes, std::size_t alignment) override {
    OPENSSL_cleanse(memory, bytes);
    ::operator delete(memory, std::align_val_t(alignment));
  }
  bool do_is_equal(const json::memory_resource& other) const noexcept override {
    return this == &other;
  }
};

Error Damaged(std::string_view what) {
  return Error(Code::kDataLoss, std::string(what));
}

Result<PrivateKey> ReadKey(std::string_view name, const json::value& value) {
  const auto* text = value.if_string();
  if (text == nullptr) {
    return Damaged(fmt::format("key '{}' is not a string", name));
  }
  auto decoded = Base64Decode(std::string_view(*text));
  if (!decoded.ok()) {
    return Damaged(fmt::format("key '{}' is not base64", name));
  }
  const WipeOnExit wipe(*decoded);
  auto key = PrivateKey::FromPkcs8(SecretBytes::CopyOf(*decoded));
  if (!key.ok()) {
    return Damaged(fmt::format("key '{}': {}", name, key.error().message()));
  }
  return key;
}

/// A JSON string literal. Names are ours or SPIRE's, but the file may hold any.
std::string Quoted(std::string_view text) {
  std::string quoted = "\"";
  for (const char byte : text) {
    if (static_cast<unsigned char>(byte) < 0x20) {
      quoted += fmt::format("\\u{:04x}", static_cast<unsigned>(static_cast<unsigned char>(byte)));
      continue;
    }
    if (byte == '"' || byte == '\\') {
      quoted += '\\';
    }
    quoted += byte;
  }
  return quoted + '"';
}

}  // namespace

Result<NamedKeys> ParseKeyFile(const SecretBytes& content) {
  WipingMemory memory;
  boost::system::error_code failed;
  const auto document = json::parse(content.Reveal(), failed, &memory);
  if (failed) {
    return Damaged("not JSON: " + failed.message());
  }
  const auto* object = document.if_object();
  const auto* keys = object == nullptr ? nullptr : object->if_contains("keys");
  if (keys == nullptr || !keys->is_object()) {
    return Damaged("no \"keys\" object");
  }
  NamedKeys named;
  for (const auto& [name, value] : keys->get_object()) {
    auto key = ReadKey(std::string_view(name), value);
    if (!key.ok()) {
      return std::move(key).error();
    }
    named.emplace(std::string_view(name), *std::move(key));
  }
  return named;
}

SecretBytes WriteKeyFile(const NamedKeys& keys) {
  std::string text;
  const WipeOnExit wipe(text);
  // Enough for every key, so that growing never leaves a copy behind.
  text.reserve(64 + keys.size() * 8192);
  text += R"({"keys":{)";
  bool first = true;
  for (const auto& [name, key] : keys) {
    std::string encoded = Base64Encode(key.ToPkcs8().Reveal());
    const WipeOnExit wipe_encoded(encoded);
    text += first ? "" : ",";
    text += Quoted(name);
    text += ":\"";
    text += encoded;
    text += '"';
    first = false;
  }
  text += "}}\n";
  return SecretBytes::CopyOf(text);
}

}  // namespace credence
