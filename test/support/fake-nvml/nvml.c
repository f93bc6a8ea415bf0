/*
 * A stand-in for libnvidia-ml.so.1 that says what a test says: it reads the
 * file SCRIPT ("key=value" lines) at each call, and writes the call's name to
 * the file CALLS. Structures and return codes as in nvml.h.
 *
 * Keys: init, count (a negative one is an error code), hang (a function's name),
 * and for each device "gpu0.", or for an instance of it "gpu0.mig1.":
 * handle, memory, processesCode (return codes), uuid, name, total, reserved,
 * used, util (absent: not supported), mig (absent: not supported; else how many
 * instances there may be), processes ("pid:bytes pid:?").
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define SUCCESS 0
#define UNINITIALIZED 1
#define INVALID_ARGUMENT 2
#define NOT_SUPPORTED 3
#define NOT_FOUND 6
#define INSUFFICIENT_SIZE 7
#define GPU_IS_LOST 15
#define VERSION_MISMATCH 25

#define DEVICES 64
/* A test that forgets to end a hang must not keep the process for ever. */
#define HANG_LIMIT_MS 20000

typedef struct {
  char key[32];
  int isLost;
} Device;
typedef struct {
  unsigned long long total, free, used;
} MemoryV1;
typedef struct {
  unsigned int version;
  unsigned long long total, reserved, free, used;
} MemoryV2;
typedef struct {
  unsigned int pid;
  unsigned long long used;
  unsigned int gpuInstanceId, computeInstanceId;
} Process;
typedef struct {
  unsigned int gpu, memory;
} Rates;

static Device devices[DEVICES];
static int deviceCount = 0;
static int sessions = 0;

static int lookUp(const char *key, char *value, size_t size) {
  FILE *file = fopen(SCRIPT, "r");
  char line[65536];
  int found = 0;
  if (file == NULL) return 0;
  while (fgets(line, sizeof line, file) != NULL) {
    size_t length = strlen(key);
    if (strncmp(line, key, length) != 0 || line[length] != '=') continue;
    line[strcspn(line, "\n")] = 0;
    snprintf(value, size, "%s", line + length + 1);
    found = 1;
  }
  fclose(file);
  return found;
}

static long long number(const char *key, long long fallback) {
  char value[64];
  return lookUp(key, value, sizeof value) ? atoll(value) : fallback;
}

static long long of(const Device *device, const char *name, long long fallback) {
  char key[96];
  snprintf(key, sizeof key, "%s.%s", device->key, name);
  return number(key, fallback);
}

static int textOf(const Device *device, const char *name, char *value, size_t size) {
  char key[96];
  snprintf(key, sizeof key, "%s.%s", device->key, name);
  return lookUp(key, value, size);
}

static void called(const char *name) {
  FILE *file = fopen(CALLS, "a");
  char hanging[64];
  if (file != NULL) {
    fprintf(file, "%s\n", name);
    fclose(file);
  }
  for (int ms = 0; ms < HANG_LIMIT_MS; ms += 5) {
    if (!lookUp("hang", hanging, sizeof hanging) || strcmp(hanging, name) != 0) return;
    usleep(5000);
  }
}

static Device *opened(const char *key) {
  for (int i = 0; i < deviceCount; i++) {
    if (strcmp(devices[i].key, key) == 0) return &devices[i];
  }
  Device *device = &devices[deviceCount++ % DEVICES];
  snprintf(device->key, sizeof device->key, "%s", key);
  device->isLost = 0;
  return device;
}

/* A GPU that was lost once stays lost until a new session opens it. */
static int failing(Device *device, const char *codeKey) {
  if (sessions == 0) return UNINITIALIZED;
  if (device == NULL) return INVALID_ARGUMENT;
  int code = (int)of(device, codeKey, SUCCESS);
  if (code == GPU_IS_LOST) device->isLost = 1;
  return device->isLost ? GPU_IS_LOST : code;
}

int nvmlInit_v2(void) {
  called("nvmlInit_v2");
  int code = (int)number("init", SUCCESS);
  if (code == SUCCESS && sessions++ == 0) deviceCount = 0;
  return code;
}

int nvmlShutdown(void) {
  called("nvmlShutdown");
  if (sessions == 0) return UNINITIALIZED;
  sessions--;
  return SUCCESS;
}

int nvmlDeviceGetCount_v2(unsigned int *count) {
  called("nvmlDeviceGetCount_v2");
  if (sessions == 0) return UNINITIALIZED;
  long long told = number("count", 1);
  if (told < 0) return (int)-told;
  *count = (unsigned int)told;
  return SUCCESS;
}

int nvmlDeviceGetHandleByIndex_v2(unsigned int index, Device **device) {
  char key[32];
  called("nvmlDeviceGetHandleByIndex_v2");
  if (sessions == 0) return UNINITIALIZED;
  snprintf(key, sizeof key, "gpu%u", index);
  Device *found = opened(key);
  int code = (int)of(found, "handle", SUCCESS);
  if (code == SUCCESS) *device = found;
  return code;
}

static int copyText(Device *device, const char *name, char *text, unsigned int length) {
  int code = failing(device, "handle");
  if (code != SUCCESS) return code;
  return textOf(device, name, text, length) ? SUCCESS : NOT_SUPPORTED;
}

int nvmlDeviceGetUUID(Device *device, char *uuid, unsigned int length) {
  called("nvmlDeviceGetUUID");
  return copyText(device, "uuid", uuid, length);
}

int nvmlDeviceGetName(Device *device, char *name, unsigned int length) {
  called("nvmlDeviceGetName");
  return copyText(device, "name", name, length);
}

/* Version 1 counts what is reserved as used. */
int nvmlDeviceGetMemoryInfo(Device *device, MemoryV1 *memory) {
  called("nvmlDeviceGetMemoryInfo");
  int code = failing(device, "memory");
  if (code != SUCCESS) return code;
  memory->total = of(device, "total", 0);
  memory->used = of(device, "used", 0) + of(device, "reserved", 0);
  memory->free = memory->total - memory->used;
  return SUCCESS;
}

#ifndef OLD_DRIVER
int nvmlDeviceGetMemoryInfo_v2(Device *device, MemoryV2 *memory) {
  called("nvmlDeviceGetMemoryInfo_v2");
  if (memory->version != (sizeof(MemoryV2) | (2u << 24))) return VERSION_MISMATCH;
  int code = failing(device, "memory");
  if (code != SUCCESS) return code;
  memory->total = of(device, "total", 0);
  memory->used = of(device, "used", 0);
  memory->reserved = of(device, "reserved", 0);
  memory->free = memory->total - memory->used - memory->reserved;
  return SUCCESS;
}
#endif

int nvmlDeviceGetUtilizationRates(Device *device, Rates *rates) {
  called("nvmlDeviceGetUtilizationRates");
  int code = failing(device, "memory");
  long long util = code == SUCCESS ? of(device, "util", -1) : -1;
  if (code == SUCCESS && util < 0) return NOT_SUPPORTED;
  rates->gpu = (unsigned int)util;
  return code;
}

static int runningProcesses(Device *device, unsigned int *count, Process *list) {
  static char text[65536];
  int code = failing(device, "processesCode");
  if (code != SUCCESS) return code;
  if (!textOf(device, "processes", text, sizeof text)) text[0] = 0;
  unsigned int running = 0;
  for (char *at = text; (at = strchr(at, ':')) != NULL; at++) running++;
  unsigned int room = *count;
  *count = running;
  if (running > room) return INSUFFICIENT_SIZE;
  unsigned int index = 0;
  for (char *word = strtok(text, " "); word != NULL; word = strtok(NULL, " "), index++) {
    char *bytes = strchr(word, ':') + 1;
    list[index].pid = (unsigned int)strtoul(word, NULL, 10);
    list[index].used = *bytes == '?' ? ~0ull : strtoull(bytes, NULL, 10);
    list[index].gpuInstanceId = list[index].computeInstanceId = 0xFFFFFFFFu;
  }
  return SUCCESS;
}

#ifdef OLD_DRIVER
int nvmlDeviceGetComputeRunningProcesses_v2(Device *device, unsigned int *count, Process *list) {
  called("nvmlDeviceGetComputeRunningProcesses_v2");
  return runningProcesses(device, count, list);
}
#else
int nvmlDeviceGetComputeRunningProcesses_v3(Device *device, unsigned int *count, Process *list) {
  called("nvmlDeviceGetComputeRunningProcesses_v3");
  return runningProcesses(device, count, list);
}

int nvmlDeviceGetMigMode(Device *device, unsigned int *current, unsigned int *pending) {
  called("nvmlDeviceGetMigMode");
  int code = failing(device, "handle");
  if (code != SUCCESS) return code;
  long long most = of(device, "mig", -1);
  if (most < 0) return NOT_SUPPORTED;
  *current = *pending = most > 0;
  return SUCCESS;
}

int nvmlDeviceGetMaxMigDeviceCount(Device *device, unsigned int *count) {
  called("nvmlDeviceGetMaxMigDeviceCount");
  int code = failing(device, "handle");
  *count = (unsigned int)(code == SUCCESS ? of(device, "mig", 0) : 0);
  return code;
}

int nvmlDeviceGetMigDeviceHandleByIndex(Device *device, unsigned int index, Device **instance) {
  char key[64], uuid[96];
  called("nvmlDeviceGetMigDeviceHandleByIndex");
  int code = failing(device, "handle");
  if (code != SUCCESS) return code;
  snprintf(key, sizeof key, "%.20s.mig%u", device->key, index);
  Device *found = opened(key);
  if (!textOf(found, "uuid", uuid, sizeof uuid)) return NOT_FOUND;
  *instance = found;
  return SUCCESS;
}
#endif
