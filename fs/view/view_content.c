/* view_content.c - the bytes of a view, made of its vector. */
#include "fs/view/view_content.h"

#include <errno.h>
#include <stdlib.h>

#include "fs/base/view_bytes.h"
#include "fs/view/view.h"

int view_make(struct fs *fs, uint64_t id, enum tree_form form, struct view_content *content)
{
	unsigned char *vector = malloc(fs->geometry.vector_bytes);
	struct quiver_ref ref;
	int err;

	if (vector == NULL)
		return -ENOMEM;
	err = quiver_get(fs->store, id, 0, &ref);
	if (err != 0)
		goto out;
	err = quiver_ref_verify(fs->store, &ref, 0);
	if (err == 0)
		err = quiver_ref_read(fs->store, &ref, 0, fs->geometry.vector_bytes, 0, vector);
	content->attr = ref.attr;
	content->lsn = ref.lsn;
	quiver_unref(fs->store, &ref);
	if (err == 0)
		err = view_encode(&fs->geometry, form, vector, &content->bytes, &content->size,
		                  &content->room);
	if (err == 0 && form == TREE_FORM_TXT)
		view_remember_size(fs, id, content->lsn, content->size);
out:
	free(vector);
	return err;
}
