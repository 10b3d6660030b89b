CREATE TABLE "steerings" (
	"id" uuid PRIMARY KEY DEFAULT gen_random_uuid() NOT NULL,
	"sae_id" uuid NOT NULL,
	"prompt" text NOT NULL,
	"edits" jsonb NOT NULL,
	"max_new_tokens" integer NOT NULL,
	"baseline" jsonb NOT NULL,
	"results" jsonb NOT NULL,
	"created_at" timestamp (3) with time zone DEFAULT now() NOT NULL
);
--> statement-breakpoint
ALTER TABLE "steerings" ADD CONSTRAINT "steerings_sae_id_saes_id_fk" FOREIGN KEY ("sae_id") REFERENCES "saes"("id") ON DELETE cascade ON UPDATE no action;--> statement-breakpoint
CREATE INDEX "steerings_sae" ON "steerings" USING btree ("sae_id","created_at","id");--> statement-breakpoint
CREATE INDEX "steerings_created" ON "steerings" USING btree ("created_at","id");