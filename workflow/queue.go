package workflow

// queue is a FIFO whose head is dropped in constant time.
type queue[T any] struct {
	items []T
	head  int
}

func (q *queue[T]) push(v T) { q.items = append(q.items, v) }

func (q *queue[T]) len() int { return len(q.items) - q.head }

// each calls f from the oldest on until it returns false.
func (q *queue[T]) each(f func(T) bool) {
	for _, v := range q.items[q.head:] {
		if !f(v) {
			return
		}
	}
}

// first is the oldest item of a queue that is not empty.
func (q *queue[T]) first() T { return q.items[q.head] }

// pop drops the oldest item of a queue that is not empty.
func (q *queue[T]) pop() {
	var zero T
	q.items[q.head] = zero
	q.head++
}

// trim drops items from the head while void says so, and gives memory back when
// most of the slice is dead.
func (q *queue[T]) trim(void func(T) bool) {
	for q.len() > 0 && void(q.first()) {
		q.pop()
	}
	if q.head == len(q.items) {
		q.items, q.head = q.items[:0], 0
	} else if q.head > 64 && q.head*2 > len(q.items) {
		n := copy(q.items, q.items[q.head:])
		clear(q.items[n:])
		q.items, q.head = q.items[:n], 0
	}
}
