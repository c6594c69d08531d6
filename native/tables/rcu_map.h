// A hash map of immutable rows: one writer, any number of readers without locks.
//
// Open addressing with linear probing over atomic pointers to nodes. A row is never changed: Put()
// publishes a new node in the slot and retires the old one. A removed node leaves a grave, so that
// probe chains stay whole; when rows and graves fill half of the slots, a table of fitting size is
// built aside and published in one store.

#ifndef WEFT_TABLES_RCU_MAP_H_
#define WEFT_TABLES_RCU_MAP_H_

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <utility>

#include "../tables/rcu.h"

namespace weft {

// Key needs operator== and `uint64_t Hash() const`.
template <typename Key, typename Row>
class RcuMap {
 public:
  explicit RcuMap(RcuDomain* rcu) : rcu_(rcu), table_(new Table(kSmallest)) {}
  RcuMap(const RcuMap&) = delete;
  RcuMap& operator=(const RcuMap&) = delete;
  ~RcuMap() {
    Table* table = table_.load(std::memory_order_relaxed);
    for (size_t i = 0; i <= table->mask; i++) {
      Node* node = table->slots[i].load(std::memory_order_relaxed);
      if (IsRow(node)) delete node;
    }
    delete table;
  }

  // Reader side: valid until the reader goes offline. nullptr: no such row.
  const Row* Find(const Key& key) const {
    const Table* table = table_.load(std::memory_order_acquire);
    for (size_t i = key.Hash() & table->mask;; i = (i + 1) & table->mask) {
      const Node* node = table->slots[i].load(std::memory_order_acquire);
      if (node == nullptr) return nullptr;
      if (node != Grave() && node->key == key) return &node->row;
    }
  }

  // Writer side.
  void Put(const Key& key, Row row) {
    Node* node = new Node{key, std::move(row)};
    std::atomic<Node*>* slot = FindSlot(key);
    if (slot != nullptr) {
      Node* before = slot->exchange(node, std::memory_order_acq_rel);
      rcu_->Retire([before] { delete before; });
      return;
    }
    if ((used_ + 1) * 2 > table_.load(std::memory_order_relaxed)->mask + 1) Rebuild();
    Insert(table_.load(std::memory_order_relaxed), node);
    used_++;
    size_++;
  }
  bool Remove(const Key& key) {
    std::atomic<Node*>* slot = FindSlot(key);
    if (slot == nullptr) return false;
    Node* before = slot->exchange(Grave(), std::memory_order_acq_rel);
    rcu_->Retire([before] { delete before; });
    size_--;
    return true;
  }
  size_t size() const { return size_; }
  template <typename Visit>
  void ForEach(Visit visit) const {
    const Table* table = table_.load(std::memory_order_relaxed);
    for (size_t i = 0; i <= table->mask; i++) {
      const Node* node = table->slots[i].load(std::memory_order_relaxed);
      if (IsRow(node)) visit(node->key, node->row);
    }
  }

 private:
  struct Node {
    Key key;
    Row row;
  };
  struct Table {
    explicit Table(size_t slot_count)
        : mask(slot_count - 1), slots(new std::atomic<Node*>[slot_count]()) {}
    ~Table() { delete[] slots; }
    const size_t mask;
    std::atomic<Node*>* const slots;
  };
  static constexpr size_t kSmallest = 16;

  static Node* Grave() { return reinterpret_cast<Node*>(alignof(Node)); }
  static bool IsRow(const Node* node) { return node != nullptr && node != Grave(); }

  std::atomic<Node*>* FindSlot(const Key& key) {
    Table* table = table_.load(std::memory_order_relaxed);
    for (size_t i = key.Hash() & table->mask;; i = (i + 1) & table->mask) {
      Node* node = table->slots[i].load(std::memory_order_relaxed);
      if (node == nullptr) return nullptr;
      if (node != Grave() && node->key == key) return &table->slots[i];
    }
  }
  static void Insert(Table* table, Node* node) {
    size_t i = node->key.Hash() & table->mask;
    while (table->slots[i].load(std::memory_order_relaxed) != nullptr) i = (i + 1) & table->mask;
    table->slots[i].store(node, std::memory_order_release);
  }
  void Rebuild() {
    Table* before = table_.load(std::memory_order_relaxed);
    size_t slot_count = kSmallest;
    while (slot_count < (size_ + 1) * 4) slot_count *= 2;
    auto* after = new Table(slot_count);
    for (size_t i = 0; i <= before->mask; i++) {
      Node* node = before->slots[i].load(std::memory_order_relaxed);
      if (IsRow(node)) Insert(after, node);
    }
    used_ = size_;
    table_.store(after, std::memory_order_release);
    rcu_->Retire([before] { delete before; });
  }

  RcuDomain* const rcu_;
  std::atomic<Table*> table_;
  size_t used_ = 0;  // rows and graves
  size_t size_ = 0;  // rows
};

}  // namespace weft

#endif  // WEFT_TABLES_RCU_MAP_H_
