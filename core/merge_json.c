/* The shipped resolver: a three-way merge of JSON objects.
 *
 * cJSON builds the trees and prints the result. It is lenient where a merge must not be (duplicate members, invalid UTF-8,
 * a NUL that would end a string), and it turns numbers into doubles, which would change a long integer that nobody touched.
 * So a scanner of our own goes over each text first: it refuses what cJSON would bend, and it blanks every number in the
 * copy that cJSON reads. Afterwards each number of the tree gets its text back, as a raw item that is printed as it was.
 * Numbers are therefore compared by their text: who rewrites 1.0 as 1 has changed it. */
#include "bytes.h"
#include "fail.h"
#include "fields.h"

#include <stdlib.h>

/* ---- tokens ---- */

enum token_kind { TOKEN_END, TOKEN_NUMBER, TOKEN_STRING, TOKEN_OTHER };

/* A walk over one text. */
struct scan {
    const char *name;       /* "ours", for sentences */
    const unsigned char *p; /* the text */
    size_t len;
    size_t at;        /* behind the token */
    size_t token_len; /* of the one at `at - token_len` */
};

static int refuse(const struct scan *s, const char *problem)
{
    return hf__fail(HF_EINVAL, "merge of JSON: %s: at byte %zu: %s", s->name, s->at, problem);
}

/* The byte `ahead` of the walk; NUL, which no token may hold, behind the end. */
static unsigned char peek(const struct scan *s, size_t ahead)
{
    return ahead < s->len - s->at ? s->p[s->at + ahead] : '\0';
}

static bool is_digit(unsigned char c)
{
    return c >= '0' && c <= '9';
}

static size_t n_digits(const struct scan *s, size_t ahead)
{
    size_t n = 0;

    while (is_digit(peek(s, ahead + n)))
        n++;
    return n;
}

/* The grammar of RFC 8259: no leading zero, and digits on both sides of a point. Returns the length, or 0; also for a
 * number that touches the next one, because cJSON would see one number where both are blanked. */
static size_t number_length(const struct scan *s)
{
    size_t len = peek(s, 0) == '-', n = n_digits(s, len);

    if (n == 0 || (n > 1 && peek(s, len) == '0'))
        return 0;
    len += n;
    if (peek(s, len) == '.') {
        n = n_digits(s, len + 1);
        if (n == 0)
            return 0;
        len += 1 + n;
    }
    if (peek(s, len) == 'e' || peek(s, len) == 'E') {
        len += peek(s, len + 1) == '+' || peek(s, len + 1) == '-' ? 2 : 1;
        n = n_digits(s, len);
        if (n == 0)
            return 0;
        len += n;
    }
    return peek(s, len) == '-' ? 0 : len;
}

/* Length of the UTF-8 sequence at `ahead`, 0 when it is none (RFC 3629): the second byte's range keeps out overlong
 * forms, surrogates and what lies beyond U+10FFFF. */
static size_t utf8_length(const struct scan *s, size_t ahead)
{
    unsigned char first = peek(s, ahead), second = peek(s, ahead + 1);
    unsigned char low = first == 0xe0 ? 0xa0 : first == 0xf0 ? 0x90 : 0x80;
    unsigned char high = first == 0xed ? 0x9f : first == 0xf4 ? 0x8f : 0xbf;
    size_t n = first < 0x80 ? 1 : first < 0xc2 ? 0 : first < 0xe0 ? 2 : first < 0xf0 ? 3 : first < 0xf5 ? 4 : 0;

    if (n > 1 && (second < low || second > high))
        return 0;
    for (size_t i = 2; i < n; i++) {
        if ((peek(s, ahead + i) & 0xc0) != 0x80)
            return 0;
    }
    return n;
}

static bool is_hex(unsigned char c)
{
    return is_digit(c) || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F');
}

/* Length of the escape at `ahead`; 0: \u without four digits, or for U+0000, where cJSON would end the string. Which other
 * letters may follow, and how surrogates pair, is cJSON's to judge. */
static size_t escape_length(const struct scan *s, size_t ahead)
{
    bool zero = true;

    if (peek(s, ahead + 1) != 'u')
        return 2;
    for (size_t i = 2; i < 6; i++) {
        if (!is_hex(peek(s, ahead + i)))
            return 0;
        zero = zero && peek(s, ahead + i) == '0';
    }
    return zero ? 0 : 6;
}

static int scan_string(struct scan *s)
{
    size_t len = 1, n;

    while (peek(s, len) != '"') {
        if (peek(s, len) == '\\')
            n = escape_length(s, len);
        else
            n = peek(s, len) < 0x20 ? 0 : utf8_length(s, len);
        if (n == 0 || n > s->len - s->at - len) {
            s->at += len;
            return refuse(s, "a string that does not end, is not UTF-8, or holds a NUL or another control byte");
        }
        len += n;
    }
    s->token_len = len + 1;
    return 0;
}

static bool is_space(unsigned char c)
{
    return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

static int scan_token(struct scan *s, enum token_kind *ret_kind)
{
    unsigned char c;
    int rc = 0;

    while (is_space(peek(s, 0)))
        s->at++;
    c = peek(s, 0);
    if (s->at == s->len) {
        *ret_kind = TOKEN_END;
        return 0;
    }
    s->token_len = 1;
    if (c == '"') {
        *ret_kind = TOKEN_STRING;
        rc = scan_string(s);
    } else if (c == '-' || is_digit(c)) {
        *ret_kind = TOKEN_NUMBER;
        s->token_len = number_length(s);
        if (s->token_len == 0)
            rc = refuse(s, "not a number as JSON writes them");
    } else {
        *ret_kind = TOKEN_OTHER; /* a bracket, a comma, a letter of `true`: cJSON knows */
        if (c < 0x20 || c > 0x7e)
            rc = refuse(s, "a byte that no JSON text holds outside strings");
    }
    if (rc == 0)
        s->at += s->token_len;
    return rc;
}

/* ---- from text to tree ---- */

/* Check the whole text, and put 0 for each number of its copy. */
static int blank_numbers(struct scan s, char *copy)
{
    enum token_kind kind;
    int rc;

    while ((rc = scan_token(&s, &kind)) == 0 && kind != TOKEN_END) {
        if (kind != TOKEN_NUMBER)
            continue;
        memset(copy + s.at - s.token_len, ' ', s.token_len);
        copy[s.at - s.token_len] = '0';
    }
    return rc;
}

/* The next number of the text becomes the item's own: the tree has them in the order of the text. */
static int give_number_back(struct scan *s, cJSON *item)
{
    enum token_kind kind;
    char *text;

    do
        (void)scan_token(s, &kind); /* the text was checked */
    while (kind != TOKEN_NUMBER && kind != TOKEN_END);
    text = cJSON_malloc(s->token_len + 1);
    if (!text)
        return hf__fail(HF_ENOMEM, "out of memory: merging JSON");
    memcpy(text, s->p + s->at - s->token_len, s->token_len);
    text[s->token_len] = '\0';
    item->type = cJSON_Raw;
    item->valuestring = text;
    return 0;
}

static int give_numbers_back(struct scan *s, cJSON *tree)
{
    cJSON *item;
    int rc = 0;

    if (cJSON_IsNumber(tree))
        return give_number_back(s, tree);
    cJSON_ArrayForEach(item, tree)
    {
        rc = give_numbers_back(s, item);
        if (rc != 0)
            break;
    }
    return rc;
}

/* ---- members by name ---- */

/* The members of an object in order of their names: cJSON's own look-up walks the list. */
struct members {
    cJSON **items;
    size_t n;
};

static int by_name(const void *a, const void *b)
{
    return strcmp((*(cJSON *const *)a)->string, (*(cJSON *const *)b)->string);
}

/* No members for what is no object. */
static int members_sort(const cJSON *object, struct members *ret_members)
{
    size_t n = cJSON_IsObject(object) ? (size_t)cJSON_GetArraySize(object) : 0, i = 0;
    cJSON **items = malloc((n ? n : 1) * sizeof(*items));

    if (!items)
        return hf__fail(HF_ENOMEM, "out of memory: merging JSON");
    for (cJSON *item = n ? object->child : NULL; item; item = item->next)
        items[i++] = item;
    qsort(items, n, sizeof(*items), by_name);
    *ret_members = (struct members){.items = items, .n = n};
    return 0;
}

static void members_release(struct members *members)
{
    free(members->items);
}

static cJSON *members_find(const struct members *members, const cJSON *like)
{
    cJSON **found = bsearch(&like, members->items, members->n, sizeof(*members->items), by_name);

    return found ? *found : NULL;
}

static int refuse_twins(const char *name, const cJSON *object)
{
    struct members members;
    char shown[80];
    int rc = members_sort(object, &members);

    if (rc != 0)
        return rc;
    for (size_t i = 1; i < members.n && rc == 0; i++) {
        if (by_name(&members.items[i - 1], &members.items[i]) == 0)
            rc = hf__fail(HF_EINVAL, "merge of JSON: %s: an object has the member '%s' twice", name,
                          hf__printable(hf__slice_str(members.items[i]->string), shown, sizeof(shown)));
    }
    members_release(&members);
    return rc;
}

static int refuse_all_twins(const char *name, const cJSON *tree)
{
    const cJSON *item;
    int rc = cJSON_IsObject(tree) ? refuse_twins(name, tree) : 0;

    cJSON_ArrayForEach(item, tree)
    {
        if (rc == 0)
            rc = refuse_all_twins(name, item);
    }
    return rc;
}

static int parse(const char *name, struct hf_slice text, cJSON **ret_tree)
{
    struct scan s = {.name = name, .p = text.data, .len = text.len};
    struct hf_buf copy = {0};
    cJSON *tree = NULL;
    int rc = hf__buf_copy(text, &copy);

    if (rc == 0)
        rc = blank_numbers(s, copy.data);
    if (rc != 0)
        goto done;
    rc = hf__json_parse(copy.data, copy.len, NULL, &tree);
    if (rc != HF_ENOMEM && !cJSON_IsObject(tree))
        rc = hf__fail(HF_EINVAL, "merge of JSON: %s: %s", name,
                      tree ? "a JSON value that is no object" : "not JSON, or nested too deeply");
    if (rc == 0)
        rc = give_numbers_back(&s, tree);
    if (rc == 0)
        rc = refuse_all_twins(name, tree);
    if (rc != 0)
        goto done;
    *ret_tree = tree;
    tree = NULL;
done:
    cJSON_Delete(tree);
    hf_buf_release(&copy);
    return rc;
}

/* ---- equal ---- */

static int compare(const cJSON *a, const cJSON *b, bool *ret_equal);

static int compare_arrays(const cJSON *a, const cJSON *b, bool *ret_equal)
{
    const cJSON *x = a->child, *y = b->child;
    bool equal = true;
    int rc = 0;

    for (; x && y && equal && rc == 0; x = x->next, y = y->next)
        rc = compare(x, y, &equal);
    *ret_equal = equal && !x && !y;
    return rc;
}

static int compare_objects(const cJSON *a, const cJSON *b, bool *ret_equal)
{
    struct members x = {0}, y = {0};
    bool equal = false;
    int rc = members_sort(a, &x);

    if (rc == 0)
        rc = members_sort(b, &y);
    if (rc == 0)
        equal = x.n == y.n;
    for (size_t i = 0; rc == 0 && equal && i < x.n; i++) {
        equal = by_name(&x.items[i], &y.items[i]) == 0;
        if (equal)
            rc = compare(x.items[i], y.items[i], &equal);
    }
    members_release(&x);
    members_release(&y);
    *ret_equal = equal;
    return rc;
}

/* NULL is a member that is not there. */
static int compare(const cJSON *a, const cJSON *b, bool *ret_equal)
{
    *ret_equal = false;
    if (!a || !b)
        *ret_equal = a == b;
    else if (a->type != b->type)
        return 0;
    else if (cJSON_IsObject(a))
        return compare_objects(a, b, ret_equal);
    else if (cJSON_IsArray(a))
        return compare_arrays(a, b, ret_equal);
    else
        *ret_equal = !a->valuestring || strcmp(a->valuestring, b->valuestring) == 0;
    return 0;
}

/* ---- merging ---- */

/* One place in the three documents; NULL: nothing there. */
struct place {
    enum hf_winner prefer;
    bool base_known; /* false: every difference counts as a change of both */
    const cJSON *base;
    cJSON *ours, *theirs; /* what is chosen is taken out of its document */
};

static int merge_objects(const struct place *at, cJSON **ret_merged);

/* Which side holds at a place where not both have an object. */
static int choose(const struct place *at, enum hf_winner *ret_winner)
{
    bool equal = false;
    int rc = compare(at->ours, at->theirs, &equal);

    *ret_winner = at->prefer;
    if (rc == 0 && equal)
        *ret_winner = HF_WINNER_OURS;
    if (rc != 0 || equal || !at->base_known)
        return rc;
    rc = compare(at->ours, at->base, &equal);
    if (rc == 0 && equal)
        *ret_winner = HF_WINNER_THEIRS;
    if (rc != 0 || equal)
        return rc;
    rc = compare(at->theirs, at->base, &equal);
    if (rc == 0 && equal)
        *ret_winner = HF_WINNER_OURS;
    return rc;
}

/* `*ret_merged` is taken out of its document, or NULL for nothing. */
static int merge_place(const struct place *at, cJSON **ret_merged)
{
    enum hf_winner winner;
    int rc;

    if (cJSON_IsObject(at->ours) && cJSON_IsObject(at->theirs))
        return merge_objects(at, ret_merged);
    rc = choose(at, &winner);
    if (rc != 0)
        return rc;
    *ret_merged = winner == HF_WINNER_OURS ? at->ours : at->theirs;
    return 0;
}

/* Merge the place of one member, and add what comes of it to `merged`. */
static int add_member(const struct place *parent, const struct members *base, cJSON *ours, cJSON *theirs,
                      cJSON *merged)
{
    struct place at = *parent;
    cJSON *like = ours ? ours : theirs, *taken = NULL;
    int rc;

    at.base = members_find(base, like);
    at.ours = ours;
    at.theirs = theirs;
    rc = merge_place(&at, &taken);
    if (rc != 0 || !taken)
        return rc;
    if (taken == ours)
        (void)cJSON_DetachItemViaPointer(parent->ours, ours);
    else if (taken == theirs)
        (void)cJSON_DetachItemViaPointer(parent->theirs, theirs);
    if (cJSON_AddItemToObject(merged, like->string, taken))
        return 0;
    cJSON_Delete(taken);
    return hf__fail(HF_ENOMEM, "out of memory: merging JSON");
}

/* Ours in their order, then what only theirs has. */
static int add_members(const struct place *at, const struct members *base, const struct members *ours,
                       const struct members *theirs, cJSON *merged)
{
    int rc = 0;

    for (cJSON *item = at->ours->child, *next; item && rc == 0; item = next) {
        next = item->next; /* taking it out forgets it */
        rc = add_member(at, base, item, members_find(theirs, item), merged);
    }
    for (cJSON *item = at->theirs->child, *next; item && rc == 0; item = next) {
        next = item->next;
        if (!members_find(ours, item))
            rc = add_member(at, base, NULL, item, merged);
    }
    return rc;
}

static int merge_objects(const struct place *at, cJSON **ret_merged)
{
    struct members base = {0}, ours = {0}, theirs = {0};
    cJSON *merged = cJSON_CreateObject();
    int rc = merged ? 0 : hf__fail(HF_ENOMEM, "out of memory: merging JSON");

    if (rc == 0)
        rc = members_sort(at->base, &base);
    if (rc == 0)
        rc = members_sort(at->ours, &ours);
    if (rc == 0)
        rc = members_sort(at->theirs, &theirs);
    if (rc == 0)
        rc = add_members(at, &base, &ours, &theirs, merged);
    members_release(&base);
    members_release(&ours);
    members_release(&theirs);
    if (rc != 0) {
        cJSON_Delete(merged);
        return rc;
    }
    *ret_merged = merged;
    return 0;
}

static int print(const cJSON *tree, struct hf_buf *ret_text)
{
    char *text = cJSON_PrintUnformatted(tree);
    int rc;

    if (!text)
        return hf__fail(HF_ENOMEM, "out of memory: printing merged JSON");
    rc = hf__buf_copy(hf__slice_str(text), ret_text); /* the caller's is freed by free(), whatever cJSON uses */
    cJSON_free(text);
    return rc;
}

int hf_merge_json(const struct hf_slice *base, struct hf_slice ours, struct hf_slice theirs, enum hf_winner prefer,
                  struct hf_buf *ret_merged)
{
    cJSON *base_tree = NULL, *ours_tree = NULL, *theirs_tree = NULL, *merged = NULL;
    struct place at = {.prefer = prefer, .base_known = base != NULL};
    int rc = 0;

    if (prefer != HF_WINNER_OURS && prefer != HF_WINNER_THEIRS)
        return hf__fail(HF_EINVAL, "merge of JSON: prefer is %d; expected ours or theirs", (int)prefer);
    if (base)
        rc = parse("base", *base, &base_tree);
    if (rc == 0)
        rc = parse("ours", ours, &ours_tree);
    if (rc == 0)
        rc = parse("theirs", theirs, &theirs_tree);
    at.base = base_tree;
    at.ours = ours_tree;
    at.theirs = theirs_tree;
    if (rc == 0)
        rc = merge_objects(&at, &merged);
    if (rc == 0)
        rc = print(merged, ret_merged);
    cJSON_Delete(merged);
    cJSON_Delete(theirs_tree);
    cJSON_Delete(ours_tree);
    cJSON_Delete(base_tree);
    return rc;
}
