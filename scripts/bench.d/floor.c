// The least that a client of the shop's journey can do: the recorded requests at their recorded moments
// over as many connections, and nothing else. Nothing is rendered, chosen, taken from an answer, counted
// in a histogram or told; of an answer only its end is looked for.
//
//   floor PORT FILE
//
// FILE holds a line `connection microseconds length` for each request, followed by its bytes, in the
// order of their moments. 0 microseconds: as soon as the connection's last answer is in. When all are
// answered it tells how many they were.
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

typedef struct request {
  struct request *next;  // of its connection
  struct request *later; // of all that have a moment
  long moment;
  int connection, length;
  char *bytes;
} request;

typedef struct {
  request *next, *last;
  int socket, is_asked, n_due;
  int got; // of an answer that comes in pieces
  char *kept;
} connection;

static connection *connections;
static request *due, *last_due;
static int n_connections, n_requests, n_answered, epoll;
static struct sockaddr_in shop = {.sin_family = AF_INET};
static char buffer[1 << 17];

static void fail(const char *what) {
  perror(what);
  exit(1);
}

static connection *at(int number) {
  if (number >= n_connections) {
    connections = realloc(connections, (number + 1) * sizeof *connections);
    memset(connections + n_connections, 0, (number + 1 - n_connections) * sizeof *connections);
    n_connections = number + 1;
  }
  return &connections[number];
}

static void read_requests(const char *path) {
  FILE *file = fopen(path, "r");
  request head = {0};
  if (!file) fail(path);
  while (fscanf(file, "%d %ld %d%*c", &head.connection, &head.moment, &head.length) == 3) {
    request *one = malloc(sizeof *one);
    connection *its = at(head.connection);
    *one = head;
    one->bytes = malloc(one->length);
    if (fread(one->bytes, 1, one->length, file) != (size_t)one->length) fail(path);
    its->last = *(its->last ? &its->last->next : &its->next) = one;
    if (one->moment) last_due = *(last_due ? &last_due->later : &due) = one;
    n_requests++;
  }
  fclose(file);
}

static void open_socket(connection *one) {
  int on = 1;
  struct epoll_event event = {.events = EPOLLIN, .data.ptr = one};
  one->socket = socket(AF_INET, SOCK_STREAM, 0);
  if (connect(one->socket, (struct sockaddr *)&shop, sizeof shop)) fail("connect");
  setsockopt(one->socket, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  epoll_ctl(epoll, EPOLL_CTL_ADD, one->socket, &event);
}

// Sends the connection's next request, unless its turn has not come.
static void ask(connection *one) {
  request *next = one->next;
  if (!next || one->is_asked || (next->moment && !one->n_due)) return;
  if (!one->socket) open_socket(one);
  if (next->moment) one->n_due--;
  if (write(one->socket, next->bytes, next->length) != next->length) fail("write");
  one->next = next->next;
  one->is_asked = 1;
}

static int is_whole(const char *answer, int length) {
  const char *end = memmem(answer, length, "\r\n\r\n", 4);
  if (!end) return 0;
  for (const char *line = answer; line < end; line = (const char *)memchr(line, '\n', end + 2 - line) + 1)
    if (!strncasecmp(line, "content-length:", 15)) return end + 4 + atoi(line + 15) <= answer + length;
  return !memcmp(answer + length - 5, "0\r\n\r\n", 5);
}

static void take(connection *one) {
  memcpy(buffer, one->kept, one->got);
  int n = read(one->socket, buffer + one->got, sizeof buffer - one->got);
  if (n <= 0 || !one->is_asked) fail("read");
  one->got += n;
  if (!is_whole(buffer, one->got)) {
    one->kept = realloc(one->kept, one->got);
    memcpy(one->kept, buffer, one->got);
    return;
  }
  n_answered++;
  one->got = one->is_asked = 0;
  ask(one);
}

static long now(void) {
  struct timespec time;
  clock_gettime(CLOCK_MONOTONIC, &time);
  return time.tv_sec * 1000000 + time.tv_nsec / 1000;
}

int main(int n_words, char **words) {
  struct epoll_event events[64];
  if (n_words != 3) return 2;
  shop.sin_port = htons(atoi(words[1]));
  shop.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  read_requests(words[2]);
  epoll = epoll_create1(0);
  for (long begun = now(); n_answered < n_requests;) {
    long wait = due ? due->moment - (now() - begun) : -1;
    int n_ready = epoll_wait(epoll, events, 64, wait <= 0 ? due ? 0 : -1 : (wait + 999) / 1000);
    for (int n = 0; n < n_ready; n++) take(events[n].data.ptr);
    for (long passed = now() - begun; due && due->moment <= passed; due = due->later) {
      connection *one = &connections[due->connection];
      one->n_due++;
      ask(one);
    }
  }
  printf("%d answered\n", n_answered);
}
