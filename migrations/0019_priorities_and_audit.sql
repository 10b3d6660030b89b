CREATE TABLE "audit_entries" (
	"id" uuid PRIMARY KEY DEFAULT gen_random_uuid() NOT NULL,
	"at" timestamp (3) with time zone DEFAULT now() NOT NULL,
	"api_key_id" uuid,
	"client" text NOT NULL,
	"request_id" text NOT NULL,
	"operation" text NOT NULL,
	"target" text,
	"outcome" text DEFAULT 'BEGUN' NOT NULL,
	"error_code" text,
	CONSTRAINT "audit_entries_outcome" CHECK ("audit_entries"."outcome" in ('BEGUN', 'DONE', 'REFUSED', 'FAILED')),
	CONSTRAINT "audit_entries_error" CHECK (("audit_entries"."error_code" is not null) = ("audit_entries"."outcome" in ('REFUSED', 'FAILED')))
);
--> statement-breakpoint
ALTER TABLE "runs" ADD COLUMN "priority" smallint DEFAULT 0 NOT NULL;--> statement-breakpoint
ALTER TABLE "runs" ADD COLUMN "api_key_id" uuid;--> statement-breakpoint
ALTER TABLE "runs" ADD COLUMN "copy_of_id" uuid;--> statement-breakpoint
ALTER TABLE "audit_entries" ADD CONSTRAINT "audit_entries_api_key_id_api_keys_id_fk" FOREIGN KEY ("api_key_id") REFERENCES "api_keys"("id") ON DELETE set null ON UPDATE no action;--> statement-breakpoint
CREATE INDEX "audit_entries_at" ON "audit_entries" USING btree ("at","id");--> statement-breakpoint
CREATE INDEX "audit_entries_key" ON "audit_entries" USING btree ("api_key_id","at","id");--> statement-breakpoint
CREATE INDEX "audit_entries_target" ON "audit_entries" USING btree ("target","at","id");--> statement-breakpoint
ALTER TABLE "runs" ADD CONSTRAINT "runs_api_key_id_api_keys_id_fk" FOREIGN KEY ("api_key_id") REFERENCES "api_keys"("id") ON DELETE set null ON UPDATE no action;--> statement-breakpoint
ALTER TABLE "runs" ADD CONSTRAINT "runs_copy_of_id_runs_id_fk" FOREIGN KEY ("copy_of_id") REFERENCES "runs"("id") ON DELETE set null ON UPDATE no action;--> statement-breakpoint
CREATE INDEX "runs_copy_of" ON "runs" USING btree ("copy_of_id");--> statement-breakpoint
CREATE INDEX "runs_queued_by" ON "runs" USING btree ("api_key_id") WHERE "runs"."status" = 'QUEUED';--> statement-breakpoint
ALTER TABLE "runs" ADD CONSTRAINT "runs_priority" CHECK ("runs"."priority" between -10 and 10);