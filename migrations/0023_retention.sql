CREATE TABLE "collections" (
	"policy" text PRIMARY KEY NOT NULL,
	"at" timestamp (3) with time zone NOT NULL,
	"items" integer NOT NULL,
	"bytes" bigint NOT NULL,
	"total_items" bigint NOT NULL,
	"total_bytes" bigint NOT NULL,
	CONSTRAINT "collections_policy" CHECK ("collections"."policy" in ('LEFTOVERS', 'DAMAGED', 'EVENTS', 'FAILED_RUNS', 'RESULTS', 'AUDIT', 'WORKERS'))
);
