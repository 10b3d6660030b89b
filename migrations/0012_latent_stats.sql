CREATE TABLE "latent_pages" (
	"sae_id" uuid NOT NULL,
	"dataset_id" uuid NOT NULL,
	"index" integer NOT NULL,
	"page" jsonb NOT NULL,
	CONSTRAINT "latent_pages_sae_id_dataset_id_index_pk" PRIMARY KEY("sae_id","dataset_id","index")
);
--> statement-breakpoint
CREATE TABLE "latent_stats" (
	"sae_id" uuid NOT NULL,
	"dataset_id" uuid NOT NULL,
	"index" integer NOT NULL,
	"fired" integer NOT NULL,
	"mean" double precision NOT NULL,
	"max" double precision NOT NULL,
	"aurocs" double precision[] NOT NULL,
	"held_out_aurocs" double precision[] NOT NULL,
	CONSTRAINT "latent_stats_sae_id_dataset_id_index_pk" PRIMARY KEY("sae_id","dataset_id","index")
);
--> statement-breakpoint
CREATE TABLE "latent_surveys" (
	"sae_id" uuid NOT NULL,
	"dataset_id" uuid NOT NULL,
	"prompts" integer NOT NULL,
	"created_at" timestamp (3) with time zone DEFAULT now() NOT NULL,
	CONSTRAINT "latent_surveys_sae_id_dataset_id_pk" PRIMARY KEY("sae_id","dataset_id")
);
--> statement-breakpoint
CREATE TABLE "latent_tokens" (
	"sae_id" uuid NOT NULL,
	"index" integer NOT NULL,
	"example_id" uuid NOT NULL,
	"tokens" jsonb NOT NULL,
	CONSTRAINT "latent_tokens_sae_id_index_example_id_pk" PRIMARY KEY("sae_id","index","example_id")
);
--> statement-breakpoint
ALTER TABLE "latent_pages" ADD CONSTRAINT "latent_pages_sae_id_saes_id_fk" FOREIGN KEY ("sae_id") REFERENCES "saes"("id") ON DELETE cascade ON UPDATE no action;--> statement-breakpoint
ALTER TABLE "latent_pages" ADD CONSTRAINT "latent_pages_dataset_id_datasets_id_fk" FOREIGN KEY ("dataset_id") REFERENCES "datasets"("id") ON DELETE cascade ON UPDATE no action;--> statement-breakpoint
ALTER TABLE "latent_stats" ADD CONSTRAINT "latent_stats_survey" FOREIGN KEY ("sae_id","dataset_id") REFERENCES "latent_surveys"("sae_id","dataset_id") ON DELETE cascade ON UPDATE no action;--> statement-breakpoint
ALTER TABLE "latent_surveys" ADD CONSTRAINT "latent_surveys_sae_id_saes_id_fk" FOREIGN KEY ("sae_id") REFERENCES "saes"("id") ON DELETE cascade ON UPDATE no action;--> statement-breakpoint
ALTER TABLE "latent_surveys" ADD CONSTRAINT "latent_surveys_dataset_id_datasets_id_fk" FOREIGN KEY ("dataset_id") REFERENCES "datasets"("id") ON DELETE cascade ON UPDATE no action;--> statement-breakpoint
ALTER TABLE "latent_tokens" ADD CONSTRAINT "latent_tokens_sae_id_saes_id_fk" FOREIGN KEY ("sae_id") REFERENCES "saes"("id") ON DELETE cascade ON UPDATE no action;--> statement-breakpoint
ALTER TABLE "latent_tokens" ADD CONSTRAINT "latent_tokens_example_id_examples_id_fk" FOREIGN KEY ("example_id") REFERENCES "examples"("id") ON DELETE cascade ON UPDATE no action;--> statement-breakpoint
CREATE INDEX "latent_pages_dataset" ON "latent_pages" USING btree ("dataset_id");--> statement-breakpoint
CREATE INDEX "latent_stats_fired" ON "latent_stats" USING btree ("sae_id","dataset_id","fired","index");--> statement-breakpoint
CREATE INDEX "latent_stats_mean" ON "latent_stats" USING btree ("sae_id","dataset_id","mean","index");--> statement-breakpoint
CREATE INDEX "latent_stats_max" ON "latent_stats" USING btree ("sae_id","dataset_id","max","index");--> statement-breakpoint
CREATE INDEX "latent_surveys_dataset" ON "latent_surveys" USING btree ("dataset_id");--> statement-breakpoint
CREATE INDEX "latent_tokens_example" ON "latent_tokens" USING btree ("example_id");