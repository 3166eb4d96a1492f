#include "plugins/destinations/declarative/json_answer.h"

#include <cstddef>
#include <new>
#include <utility>

#include <boost/json/memory_resource.hpp>
#include <boost/json/parse_options.hpp>
#include <boost/json/parser.hpp>
#include <boost/json/storage_ptr.hpp>
#include <boost/system/error_code.hpp>
#include <openssl/crypto.h>

#include "base/core/check.h"

namespace credence {
namespace {

constexpr std::size_t kMaxDepth = 16;

/// Wipes what it takes back. The library names one alignment when it takes and another when it
/// gives back, so all blocks have the greatest there is.
class WipingMemory final : public boost::json::memory_resource {
 private:
  void* do_allocate(std::size_t size, std::size_t alignment) override {
    CREDENCE_CHECK(alignment <= __STDCPP_DEFAULT_NEW_ALIGNMENT__);
    return ::operator new(size);
  }
  void do_deallocate(void* memory, std::size_t size, std::size_t /*alignment*/) override {
    OPENSSL_cleanse(memory, size);
    ::operator delete(memory);
  }
  bool do_is_equal(const boost::json::memory_resource& other) const noexcept override {
    return this == &other;
  }
};

}  // namespace

struct JsonAnswer::Document {
  Document() : root(boost::json::storage_ptr(&memory)) {}

  WipingMemory memory;
  boost::json::value root;
};

JsonAnswer::JsonAnswer(std::unique_ptr<Document> document) : document_(std::move(document)) {}
JsonAnswer::~JsonAnswer() = default;
JsonAnswer::JsonAnswer(JsonAnswer&& other) noexcept = default;
JsonAnswer& JsonAnswer::operator=(JsonAnswer&& other) noexcept = default;

std::optional<JsonAnswer> JsonAnswer::Parse(std::string_view body) {
  auto document = std::make_unique<Document>();
  boost::json::parse_options options;
  options.max_depth = kMaxDepth;
  boost::json::parser parser(boost::json::storage_ptr(&document->memory), options);
  parser.reset(boost::json::storage_ptr(&document->memory));
  boost::system::error_code failed;
  parser.write(body.data(), body.size(), failed);
  if (failed) {
    return std::nullopt;
  }
  document->root = parser.release();
  if (!document->root.is_object()) {
    return std::nullopt;
  }
  return JsonAnswer(std::move(document));
}

const boost::json::value* JsonAnswer::Find(std::string_view pointer) const {
  boost::system::error_code failed;
  const boost::json::value* found =
      document_->root.find_pointer({pointer.data(), pointer.size()}, failed);
  return failed || found == nullptr || found->is_null() ? nullptr : found;
}

std::string_view JsonAnswer::FindText(std::string_view pointer) const {
  const boost::json::value* found = Find(pointer);
  if (found == nullptr || !found->is_string()) {
    return {};
  }
  const boost::json::string& text = found->get_string();
  return {text.data(), text.size()};
}

}  // namespace credence
